//! A file system of our own, which may be filled up, and whose power may be cut.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::ioctl::{self, Setter, opcode};

/// An ext4 in a file. It is mounted until this is dropped; the file stays, to be looked at.
pub(crate) struct Disk {
    mount_point: PathBuf,
    image: PathBuf,
}

impl Disk {
    /// Makes one of so many MiB below a directory, and mounts it there.
    pub(crate) fn new(root: &Path, mib: u64) -> Result<Self> {
        let disk = Self { mount_point: root.join("disk"), image: root.join("disk.ext4") };
        fs::create_dir_all(&disk.mount_point)?;
        File::create(&disk.image)?.set_len(mib << 20)?;
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&disk.image))?;
        disk.mount()?;
        Ok(disk)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mount_point
    }

    fn mount(&self) -> Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount_point))
    }

    /// Forgets at once all that was not synced; from now on every call fails.
    pub(crate) fn cut_power(&self) -> Result<()> {
        let root = File::open(&self.mount_point)?;
        // SAFETY: EXT4_IOC_SHUTDOWN reads a u32 through the pointer and changes nothing of ours.
        let order = unsafe { Setter::<{ opcode::read::<u32>(b'X', 125) }, u32>::new(WITHOUT_JOURNAL) };
        // SAFETY: as above; the descriptor is open.
        unsafe { ioctl::ioctl(&root, order) }.context("cannot cut the file system's power")?;
        Ok(())
    }

    /// Starts again with what is on the blocks. Nobody may have files open.
    pub(crate) fn restore_power(&self) -> Result<()> {
        run(Command::new("umount").arg(&self.mount_point))?;
        self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // If it fails, whoever looks at the mounts sees it; there is nothing else to do about it here.
        let _ = Command::new("umount").arg(&self.mount_point).output();
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}

/// `EXT4_GOING_FLAGS_NOLOGFLUSH`: not even the journal is written out.
const WITHOUT_JOURNAL: u32 = 2;
