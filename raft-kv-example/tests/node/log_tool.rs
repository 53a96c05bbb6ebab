//! `raft-kv log` as an operator or a script runs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::{TestCluster, refusal_of};
use raft_core::{
    Batches, Entries, EntryKind, GroupId, HardState, LogIndex, LogStore, Membership, NewMark, NodeId,
    Persist, PersistId, Position, SnapshotMark, SnapshotMeta, SnapshotStore, Term,
};
use raft_storage::{Flushing, Identity, Start, Wal, WalOptions};
use redis::Commands;
use rustix::process::Signal;
use serde_json::Value;

fn log(arguments: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_raft-kv"))
        .arg("log")
        .args(arguments)
        .arg("--dir")
        .arg(dir)
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs it with `--json` and compares the exit code with what the object says.
fn json(command: &str, dir: &Path) -> Value {
    let output = log(&[command, "--json"], dir);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["exit_code"], code(&output), "{value}");
    value
}

/// A node that wrote a few entries and was stopped.
fn stopped_node() -> (TestCluster, PathBuf) {
    let mut cluster = TestCluster::start(1, &[]);
    let mut connection = cluster.connect(0);
    for n in 0..20 {
        let _: () = connection.set(format!("key-{n}"), format!("value-{n}")).unwrap();
    }
    cluster.signal(0, Signal::TERM);
    assert!(cluster.wait_for_exit(0).success());
    let dir = cluster.data_dir(0);
    (cluster, dir)
}

/// Every file with its content.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.clone(), fs::read(path).unwrap())
    };
    fs::read_dir(dir).unwrap().map(read).collect()
}

fn edit(path: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn last_segment(found: &Value) -> &Value {
    let segments = found["segments"].as_array().unwrap();
    segments.iter().find(|segment| segment["role"] == "last").unwrap()
}

#[test]
fn a_stopped_nodes_directory_is_whole_and_nothing_in_it_is_changed_w7() {
    let (_cluster, dir) = stopped_node();
    let before = files(&dir);
    let found = json("verify", &dir);
    assert_eq!((&found["outcome"], &found["exit_code"]), (&"whole".into(), &0.into()), "{found}");
    assert_eq!((&found["in_use_by"], &found["identity"]["node"]), (&Value::Null, &1.into()));
    let group = &found["groups"][0];
    assert!(group["entries"]["command"].as_u64().unwrap() > 0, "{group}");
    assert_eq!(group["last"], group["runs"].as_array().unwrap().last().unwrap()["last"]);
    assert!(last_segment(&found)["whole"].as_bool().unwrap());
    assert_eq!(found["damages"], Value::Array(vec![]));
    let said = log(&["verify"], &dir);
    assert!(text(&said).ends_with("whole\n"), "{}", text(&said));

    let stat = log(&["stat"], &dir);
    assert_eq!(code(&stat), 0);
    for word in ["last", "commands", "requests by bytes", "batches by entries", "amplification"] {
        assert!(text(&stat).contains(word), "{word}: {}", text(&stat));
    }
    assert_eq!(json("stat", &dir), found);
    assert!(before == files(&dir), "nothing was changed");
}

#[test]
fn dump_shows_entries_and_records_within_what_is_asked_for_w7() {
    let (_cluster, dir) = stopped_node();
    let all = text(&log(&["dump"], &dir));
    assert!(all.contains("SET \"key-7\" (7 bytes)") && !all.contains("value-7"), "{all}");
    assert!(all.contains(" membership ") && all.contains("voter 1 \"127.0.0.1:"), "{all}");
    assert!(text(&log(&["dump", "--payloads"], &dir)).contains("SET \"key-7\" \"value-7\""));
    let some = log(&["dump", "--json", "--from", "3", "--to", "9", "--limit", "4"], &dir);
    let lines = String::from_utf8(some.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let indexes: Vec<_> = lines.iter().map(|line| line["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [3, 4, 5, 6]);
    assert_eq!(text(&log(&["dump", "--group", "99"], &dir)), "");
    let records = text(&log(&["dump", "--records"], &dir));
    assert!(
        records.starts_with("00000001.wal byte 4096 ") && records.contains("link from segment"),
        "{records}"
    );
    let records = log(&["dump", "--records", "--json"], &dir);
    let lines = String::from_utf8(records.stdout).unwrap();
    let held = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let held = held.filter(|line| line["content"]["batches"][0]["held"].is_array()).count();
    assert!(held > 0 && held <= lines.lines().count());
}

#[test]
fn a_running_node_is_named_and_does_not_notice_w7() {
    let cluster = TestCluster::start(1, &[]);
    let mut connection = cluster.connect(0);
    let _: () = connection.set("a", "b").unwrap();
    let dir = cluster.data_dir(0);
    let found = json("verify", &dir);
    assert_eq!(found["outcome"], "whole", "{found}");
    assert!(found["in_use_by"].as_str().unwrap().starts_with("process "), "{found}");
    assert!(text(&log(&["verify"], &dir)).contains("the picture may be moving"));
    let _: () = connection.set("c", "d").unwrap();
}

/// The tool and the node name the same place and the same way out.
#[test]
fn damage_is_told_with_its_place_and_the_way_out_as_the_node_tells_it_w7() {
    let (_cluster, dir) = stopped_node();
    let whole = json("verify", &dir);
    let path = last_segment(&whole)["path"].as_str().unwrap().to_owned();
    let at = last_segment(&whole)["end_offset"].as_u64().unwrap() - 20;
    edit(&path, |bytes| bytes[usize::try_from(at).unwrap()] ^= 1);
    let found = json("verify", &dir);
    assert_eq!((&found["outcome"], &found["exit_code"]), (&"damaged".into(), &2.into()), "{found}");
    let damage = &found["damages"][0];
    assert_eq!((damage["path"].as_str(), &damage["kind"]), (Some(&path[..]), &"checksum".into()));
    assert!(damage["offset"].as_u64().unwrap() <= at && damage["fatal"] == true);
    let (expected, actual) = (damage["expected"].as_str().unwrap(), damage["found"].as_str().unwrap());
    assert!(expected.starts_with("0x") && actual.starts_with("0x") && expected != actual);
    let refused = found["refusals"][0]["text"].as_str().unwrap();
    assert!(refused.contains("join again with an empty directory under a new id"), "{refused}");
    let said = text(&log(&["verify"], &dir));
    assert!(said.contains(&format!("refused: {refused}")) && said.contains("is whole up to entry"), "{said}");
    let dumped = log(&["dump"], &dir);
    assert_eq!(code(&dumped), 2);
    assert!(text(&dumped).contains("see raft-kv log verify"));

    let node = refusal_of(&dir, &["--id", "1", "--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"]);
    assert!(node.contains(refused), "{node}");
}

/// Of a broken record in the middle of the log, the entries that were in it are named.
#[test]
fn damage_is_told_with_the_entries_that_are_lost_w7() {
    let (_cluster, dir) = stopped_node();
    let dumped = log(&["dump", "--records", "--json"], &dir);
    let records = String::from_utf8(dumped.stdout).unwrap();
    let records = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let has_entries =
        |record: &Value| record["content"]["batches"].as_array().is_some_and(|batches| !batches.is_empty());
    let record = records.filter(has_entries).nth(10).unwrap();
    let path = dir.join(format!("{:08x}.wal", record["segment"].as_u64().unwrap()));
    let body = usize::try_from(record["offset"].as_u64().unwrap()).unwrap() + 40;
    edit(path.to_str().unwrap(), |bytes| bytes[body] ^= 1);
    let found = json("verify", &dir);
    let content = &record["content"];
    let batches = content["batches"].as_array().unwrap();
    let (first, last) = (&batches[0]["first"], &batches[batches.len() - 1]["last"]);
    let lost = &found["damages"][0]["lost"];
    assert_eq!((&lost["group"], &lost["first"], &lost["last"]), (&content["group"], first, last), "{found}");
    assert_eq!(lost["other_groups"], 0);
    let said = text(&log(&["verify"], &dir));
    let words =
        format!("group {} lacks entries {first} to {last}; acknowledged data is lost", content["group"]);
    assert!(said.contains(&words), "{said}");
    let node = refusal_of(&dir, &["--id", "1", "--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"]);
    assert!(node.contains(&words), "{node}");
}

#[test]
fn an_interrupted_write_is_a_warning_w7() {
    let (_cluster, dir) = stopped_node();
    let last = json("verify", &dir);
    let last = last_segment(&last);
    let end = usize::try_from(last["end_offset"].as_u64().unwrap()).unwrap();
    edit(last["path"].as_str().unwrap(), |bytes| bytes[end..end + 100].fill(0xab));
    let found = json("verify", &dir);
    assert_eq!((&found["outcome"], &found["exit_code"]), (&"warnings".into(), &1.into()), "{found}");
    assert_eq!((&found["torn_tail"]["offset"], &found["torn_tail"]["bytes"]), (&end.into(), &100.into()));
    let said = text(&log(&["verify"], &dir));
    assert!(
        said.contains(&format!("from byte {end} on, 100 bytes")) && said.contains("goes on with entry"),
        "{said}"
    );
}

#[test]
fn what_is_no_nodes_directory_or_cannot_be_read_has_an_exit_code_of_its_own_w7() {
    let temp = tempfile::tempdir().unwrap();
    for dir in [temp.path().join("missing"), temp.path().to_owned()] {
        for command in ["verify", "dump", "stat"] {
            let output = log(&[command], &dir);
            assert_eq!(code(&output), 3);
            assert!(text(&output).contains("is not a node's data directory"), "{}", text(&output));
        }
        assert!(!temp.path().join("missing").exists());
    }
    assert_eq!(code(&log(&["verify", "--nonsense"], temp.path())), 3);
    assert_eq!(code(&log(&["verify", "--help"], temp.path())), 0);

    // A file that cannot be read, for whomever: a directory in its place.
    let (_cluster, dir) = stopped_node();
    let segment = last_segment(&json("verify", &dir))["path"].as_str().unwrap().to_owned();
    fs::remove_file(&segment).unwrap();
    fs::create_dir(&segment).unwrap();
    let output = log(&["verify"], &dir);
    assert_eq!(code(&output), 3, "{}", text(&output));
    let words = format!("could not open {segment}: this is no regular file");
    assert!(text(&output).contains(&words), "{}", text(&output));
}

/// A directory of three groups whose segments were filled several times, with one made ahead of need.
fn refilled_log() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let identity = Identity { cluster: 77, node: NodeId::new(5) };
    let options = WalOptions::new(&dir, identity)
        .flushing(Flushing::OnPersist)
        .segment_bytes(WalOptions::SEGMENT_BYTES_MIN);
    let wal = Wal::open(&options.clone().start(Start::Initialise), || ()).unwrap();
    let mut groups = [1, 2, 3].map(|id| wal.group(GroupId::new(id)).unwrap());
    let membership = Membership::of_voters([NodeId::new(5)]).unwrap();
    for index in 1..=40 {
        for log in &mut groups {
            let (position, id) =
                (Position::new(Term::new(1), LogIndex::new(index)), PersistId::new(2 * index));
            let entries = Entries::single(position, EntryKind::Command, &[7; 3000]).unwrap().into();
            let hard_state = Some(HardState { term: Term::new(1), ..HardState::default() });
            log.persist(Persist { id, mark: None, truncate_from: None, entries, hard_state }).unwrap();
            if index > 2 {
                let last = Position::new(Term::new(1), LogIndex::new(index - 2));
                let meta = SnapshotMeta {
                    last,
                    membership: membership.clone(),
                    size: 0,
                    crc32c: 0,
                    is_hollow: false,
                };
                log.begin_snapshot(last);
                log.finish_snapshot(meta);
                log.flush_now().unwrap();
                assert!(log.poll_snapshot().unwrap().is_ok());
                let mark = SnapshotMark { last, membership: membership.clone() };
                let mark = Some(NewMark { mark, keeps_entries: true });
                let (id, entries) = (PersistId::new(2 * index + 1), Batches::new());
                log.persist(Persist { id, mark, truncate_from: None, entries, hard_state: None }).unwrap();
            }
        }
    }
    drop(groups);
    wal.close().unwrap();
    let ahead = options.reserved_bytes(u64::from(WalOptions::SEGMENT_BYTES_MIN));
    Wal::open(&ahead, || ()).unwrap().close().unwrap();
    (parent, dir)
}

#[test]
fn leftovers_in_segments_are_no_damage_and_a_flipped_bit_beside_them_is_w7() {
    let (_parent, dir) = refilled_log();
    let whole = json("verify", &dir);
    assert_eq!(
        (&whole["outcome"], &whole["identity"]["cluster"]),
        (&"whole".into(), &"77".into()),
        "{whole}"
    );
    assert!(text(&log(&["verify"], &dir)).contains("node 5 of cluster 77, "));
    assert_eq!(whole["groups"].as_array().unwrap().len(), 3);
    let role = |name: &str| {
        let segments = whole["segments"].as_array().unwrap();
        segments.iter().find(|segment| segment["role"] == name).unwrap_or_else(|| panic!("{name}: {whole}"))
    };
    for segment in [role("last"), role("prepared")] {
        let bytes = fs::read(segment["path"].as_str().unwrap()).unwrap();
        let behind = usize::try_from(segment["end_offset"].as_u64().unwrap()).unwrap() + 8192;
        assert!(bytes[behind..].iter().any(|byte| *byte != 0), "nothing of a former life: {segment}");
    }
    assert!(text(&log(&["stat"], &dir)).contains("prepared"));
    for group in ["1", "2", "3"] {
        let entries = text(&log(&["dump", "--group", group], &dir));
        assert_eq!(entries.lines().count(), 2, "39 and 40: {entries}");
    }
    let records = log(&["dump", "--records", "--json"], &dir);
    let shown = String::from_utf8_lossy(&records.stdout).lines().count() as u64;
    let counted =
        whole["segments"].as_array().unwrap().iter().map(|segment| segment["records"].as_u64().unwrap());
    assert_eq!((code(&records), shown), (0, counted.sum()));
    for (name, at) in [("full", 5000), ("last", 4100), ("prepared", 20)] {
        let path = role(name)["path"].as_str().unwrap();
        edit(path, |bytes| bytes[at] ^= 1);
        let found = json("verify", &dir);
        let is_named = found["damages"].as_array().unwrap().iter().any(|damage| damage["path"] == path);
        assert!(found["outcome"] == "damaged" && is_named, "{name}: {found}");
        edit(path, |bytes| bytes[at] ^= 1);
    }
    assert_eq!(json("verify", &dir), whole);
}
