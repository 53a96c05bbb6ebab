//! Every file that fuzzing found worth keeping, given to its target once more.

use std::fs;
use std::path::{Path, PathBuf};

use raft_fuzz::{TARGETS, Target};

/// Names the file, if a target ends badly with it.
struct Replaying<'a>(&'a Path);

impl Drop for Replaying<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replaying {}", self.0.display());
        }
    }
}

fn directory(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn names(directory: &Path) -> Vec<String> {
    let listing = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> = listing
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("plain names"))
        .collect();
    names.sort();
    names
}

fn replay(target: &Target, corpus: &Path) {
    for name in names(corpus) {
        let path = corpus.join(name);
        let _replaying = Replaying(&path);
        (target.run)(&fs::read(&path).expect("a file"));
    }
}

#[test]
fn every_target_lives_through_its_corpus_and_through_nothing_at_all() {
    for target in &TARGETS {
        (target.run)(&[]);
        replay(target, &directory("corpus").join(target.name));
    }
}

#[test]
fn every_corpus_has_its_target_and_no_file_is_large() {
    let targets = TARGETS.map(|target| target.name);
    let corpus = directory("corpus");
    assert_eq!(names(&corpus), targets, "in the order of their names");
    for path in targets.map(|target| corpus.join(target)) {
        let names = names(&path);
        assert!(!names.is_empty(), "{} is empty", path.display());
        let bytes: u64 = names.iter().map(|name| fs::metadata(path.join(name)).expect("a file").len()).sum();
        assert!(bytes <= CORPUS_BYTES_MAX, "{}: {bytes} bytes", path.display());
    }
}

/// Enough to reach what matters, and little enough to read over.
const CORPUS_BYTES_MAX: u64 = 32 << 10;
