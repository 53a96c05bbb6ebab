//! What a power cut can leave of a disk.

use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Kept, Unsynced};

/// What a power cut keeps of unsynced changes, as one function per class and member.
pub(crate) fn images(fs: &SimFs) -> Vec<SimFs> {
    let unsynced = fs.unsynced();
    let count = unsynced.len();
    let mut images = vec![fs.after_process_death()];
    let mut cut = |keep: &mut dyn FnMut(usize, &Unsynced) -> Kept| images.push(fs.after_power_cut(keep));
    let either = |kept: bool| if kept { Kept::Everything } else { Kept::Nothing };
    cut(&mut |_, _| Kept::Nothing);
    if count == 0 {
        return images;
    }
    cut(&mut |_, _| Kept::Everything);
    for (at, change) in unsynced.iter().enumerate() {
        cut(&mut |i, _| either(i <= at));
        cut(&mut |i, _| either(i == at));
        cut(&mut |i, _| either(i != at));
        let Unsynced::Write { byte_count, .. } = *change else { continue };
        // Zeros that were to be overwritten later anyway tear only where they begin.
        let bytes: Vec<usize> = match byte_count {
            0..=200 => (1..byte_count).collect(),
            201..=20_000 => (1..byte_count).step_by(61).chain(byte_count - 9..byte_count).collect(),
            _ => vec![1, 600, 5000],
        };
        for bytes in bytes {
            cut(&mut |i, _| if i == at { Kept::FirstBytes(bytes) } else { either(i < at) });
        }
        for mask in masks(byte_count) {
            cut(&mut |i, _| if i == at { Kept::Sectors(mask) } else { Kept::Everything });
        }
    }
    let mut random = count as u64;
    for _ in 0..6 {
        cut(&mut |_, _| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Kept::Sectors(random >> 7 ^ random << 31)
        });
    }
    images
}

/// Each sector missing, each sector alone, every other one.
fn masks(byte_count: usize) -> Vec<u64> {
    let sectors = (byte_count / 512 + 1).min(12);
    let single = (0..sectors).flat_map(|sector| [1 << sector, !(1 << sector)]);
    single.chain([0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa]).collect()
}
