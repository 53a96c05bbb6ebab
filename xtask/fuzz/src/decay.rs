//! What a disk may do to its files.

use std::path::PathBuf;

use raft_storage::fs::SimFs;

use crate::bytes::Choices;

/// Changes files as the choices say. Whatever is left of them is still files of this directory.
pub(crate) fn decay(fs: &SimFs, choices: &mut Choices<'_>) {
    for _ in 0..EDITS_MAX {
        if choices.is_done() {
            return;
        }
        let paths = fs.paths();
        let path = &paths[choices.below(paths.len())];
        let other = &paths[choices.below(paths.len())];
        edit(fs, path, other, choices);
    }
}

fn edit(fs: &SimFs, path: &PathBuf, other: &PathBuf, choices: &mut Choices<'_>) {
    let code = choices.byte() % 8;
    let source = fs.content(other).unwrap_or_default();
    fs.edit(path, |bytes| {
        let start = place(bytes, choices);
        let rest = &mut bytes[start..];
        match code {
            0..=2 => {
                let length = choices.below(24);
                let patch = choices.bytes(length);
                rest.iter_mut().zip(patch).for_each(|(byte, new)| *byte = *new);
            }
            3 => rest.iter_mut().take(1).for_each(|byte| *byte ^= 1 << (choices.byte() % 8)),
            4 => {
                let length = choices.below(4096);
                rest.iter_mut().take(length).for_each(|byte| *byte = 0);
            }
            5 => bytes.truncate(start),
            // A block that was written elsewhere, or read from there.
            6 => {
                let from = place(&source, choices);
                let length = choices.below(4096);
                rest.iter_mut().zip(source[from..].iter().take(length)).for_each(|(to, from)| *to = *from);
            }
            _ => *bytes = source,
        }
    });
}

/// Anywhere up to a little behind the last byte that is not zero.
fn place(bytes: &[u8], choices: &mut Choices<'_>) -> usize {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 64);
    choices.below(used.min(bytes.len()))
}

const EDITS_MAX: usize = 8;
