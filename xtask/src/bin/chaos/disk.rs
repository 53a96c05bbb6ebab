//! File systems of our own: a small one that fills up, and one whose power can be cut.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::ioctl::{self, Setter, opcode};

/// A file system that is there until this is dropped.
pub(crate) struct Disk {
    mount_point: PathBuf,
    /// The file with its blocks; none if it is in memory.
    image: Option<PathBuf>,
}

impl Disk {
    /// One in memory, with so many KiB.
    pub(crate) fn in_memory(mount_point: &Path, kib: u32) -> Result<Self> {
        fs::create_dir_all(mount_point)?;
        let disk = Self { mount_point: mount_point.to_owned(), image: None };
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
            .arg(mount_point))?;
        Ok(disk)
    }

    /// An ext4 in a file, as whose blocks only what was synced is sure to survive.
    pub(crate) fn in_file(mount_point: &Path, image: &Path, mib: u64) -> Result<Self> {
        fs::create_dir_all(mount_point)?;
        File::create(image)?.set_len(mib << 20)?;
        run(Command::new("mkfs.ext4").arg("-q").arg(image))?;
        let disk = Self { mount_point: mount_point.to_owned(), image: Some(image.to_owned()) };
        disk.mount()?;
        Ok(disk)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mount_point
    }

    fn mount(&self) -> Result<()> {
        let image = self.image.as_ref().context("it is in memory")?;
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(&self.mount_point))
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
        let _ = Command::new("umount").arg(&self.mount_point).status();
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}; it takes the rights of root");
    Ok(())
}

/// `EXT4_GOING_FLAGS_NOLOGFLUSH`: not even the journal is written out.
const WITHOUT_JOURNAL: u32 = 2;
