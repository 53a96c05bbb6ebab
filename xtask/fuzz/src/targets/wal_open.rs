//! A log whose files decayed.

use std::path::PathBuf;
use std::sync::OnceLock;

use raft_storage::fs::SimFs;

use crate::bytes::Choices;
use crate::common::decayed::{shown, small_log};
use crate::common::{DIR, Models};
use crate::decay::decay;

/// Opening refuses, or shows what was written, or a first part of it that no evidence contradicts.
pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let is_marked = choices.byte() % 2 == 1;
    let (whole, states) = image(is_marked);
    let fs = whole.after_process_death();
    decay(&fs, &mut choices);
    let mark = PathBuf::from(DIR).join("sync-mark");
    let is_proven = is_marked && whole.content(&mark) == fs.content(&mark);
    if let Some(count) = shown(&fs, states, "decayed") {
        assert!(!is_proven || count == states.len() - 1, "the sync mark says that there was more");
    }
}

fn image(is_marked: bool) -> &'static (SimFs, Vec<Models>) {
    static IMAGES: OnceLock<[(SimFs, Vec<Models>); 2]> = OnceLock::new();
    &IMAGES.get_or_init(|| [false, true].map(small_log))[usize::from(is_marked)]
}
