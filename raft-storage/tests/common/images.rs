//! What a power cut can leave of a disk, at every call of a workload and of the recovery after it.

use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Kept, Unsynced};

use super::{History, Step, run};

/// Stops the machine after every first part of the calls that the steps make, and shows all that a
/// power cut can leave there. Returns how many images that were.
pub(crate) fn cut_at_every_call(steps: &[Step], mut show: impl FnMut(&SimFs, &History, &str)) -> usize {
    let whole = SimFs::new();
    let history = run(&whole, steps);
    assert_eq!(history.acknowledged, history.states.len() - 1, "the workload runs to its end");
    let mut count = 0;
    for changes in 0..=whole.changes() {
        let fs = SimFs::new();
        fs.stop_after(changes);
        let history = run(&fs, steps);
        for (at, image) in images(&fs).iter().enumerate() {
            show(image, &history, &format!("stopped after {changes} changes, image {at}"));
            count += 1;
        }
    }
    println!("{count} images of {} calls", whole.changes());
    count
}

/// The same for a second crash in the middle of recovery, of every so many calls and images. `recover`
/// tells whether it got to its end.
pub(crate) fn cut_during_recovery(
    steps: &[Step],
    strides: [usize; 3],
    recover: impl Fn(&SimFs) -> bool,
    mut show: impl FnMut(&SimFs, &History, &str),
) -> usize {
    let whole = SimFs::new();
    run(&whole, steps);
    let mut count = 0;
    for changes in (0..=whole.changes()).step_by(strides[0]) {
        let fs = SimFs::new();
        fs.stop_after(changes);
        let history = run(&fs, steps);
        for (at, image) in images(&fs).iter().enumerate().step_by(strides[1]) {
            let whole = image.after_process_death();
            let before = whole.changes();
            assert!(recover(&whole), "after {changes} changes, image {at}");
            for second in 0..whole.changes() - before {
                let again = image.after_process_death();
                again.stop_after(second);
                let was_open = recover(&again) || history.was_open;
                let history = History { was_open, ..history.clone() };
                for (third, image) in images(&again).iter().enumerate().step_by(strides[2]) {
                    let place = format!("after {changes} changes, image {at}, {second} more, image {third}");
                    show(image, &history, &place);
                    count += 1;
                }
            }
        }
    }
    println!("{count} images");
    count
}

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
