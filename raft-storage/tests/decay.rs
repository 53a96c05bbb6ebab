//! Every bit of a small log flipped, and arbitrary bytes in every file: opening never panics and
//! never gives back anything but what was written, or a first part of it that no proof contradicts.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::decayed::{shown, small_log};
use proptest::prelude::{ProptestConfig, any, prop, proptest};

#[test]
fn a_flipped_bit_anywhere_is_refused_harmless_or_an_unproven_tail() {
    for is_marked in [false, true] {
        let (fs, states) = small_log(is_marked);
        let (mut refused, mut cut) = (0, 0);
        for path in fs.paths() {
            let bytes = fs.content(&path).unwrap();
            // Beyond the last byte that is not zero, one more page stands for all others.
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 600);
            for at in 0..used.min(bytes.len()) {
                if (64..4096).contains(&at) && at % 64 != 0 {
                    continue;
                }
                for bit in 0..8 {
                    let image = fs.after_process_death();
                    image.edit(&path, |bytes| bytes[at] ^= 1 << bit);
                    let place = format!("{} byte {at} bit {bit}", path.display());
                    match shown(&image, &states, &place) {
                        None => refused += 1,
                        Some(count) => {
                            let lost = states.len() - 1 - count;
                            assert!(lost == 0 || (lost == 1 && !is_marked), "{place}: {lost} lost");
                            cut += lost;
                        }
                    }
                }
            }
        }
        assert!(refused > 1000, "{refused}");
        assert_eq!(cut > 0, !is_marked, "{cut} cut");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_in_any_file_never_panic_or_pass_for_a_log(
        file in any::<prop::sample::Index>(),
        patches in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..80)), 1..6),
        length in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (fs, states) = small_log(false);
        let paths = fs.paths();
        let path = file.get(&paths);
        fs.edit(path, |bytes| {
            for (at, patch) in &patches {
                // Where the log is, more often than in the zeros behind it.
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 64).min(bytes.len());
                if used == 0 { continue }
                let start = at.index(used);
                let end = bytes.len().min(start + patch.len());
                bytes[start..end].copy_from_slice(&patch[..end - start]);
            }
            if let Some(length) = &length {
                let length = length.index(bytes.len() + 1);
                bytes.truncate(length);
            }
        });
        shown(&fs, &states, "arbitrary bytes");
    }

    #[test]
    fn a_file_of_arbitrary_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..9000), file in any::<prop::sample::Index>()) {
        let (fs, states) = small_log(true);
        let paths = fs.paths();
        fs.edit(file.get(&paths), |content| *content = bytes);
        shown(&fs, &states, "arbitrary file");
    }
}
