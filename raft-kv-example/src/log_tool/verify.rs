//! `raft-kv log verify` in words.

use std::io::{self, Write};

use raft_storage::OpenError;
use raft_storage::inspect::{FoundDamage, Inspection, Outcome, Refusal};

/// Prints what is wrong, and what to do about it.
pub(super) fn print(found: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    print_head(found, out)?;
    let records: u64 = found.segments.iter().map(|segment| segment.records).sum();
    let (segments, snapshots) = (found.segments.len(), found.snapshots.len());
    writeln!(out, "{segments} segments with {records} records, {snapshots} snapshots")?;
    for group in &found.groups {
        let (id, commit) = (group.group, group.hard_state.commit);
        match group.first() {
            Some(first) => {
                write!(out, "group {id}: entries {first} to {}, committed up to {commit}", group.last())?;
            }
            None => write!(out, "group {id}: no entries behind {}", group.last())?,
        }
        match &group.snapshot {
            Ok(Some(meta)) => writeln!(out, ", snapshot up to {}", meta.last.index)?,
            Ok(None) | Err(_) => writeln!(out, ", no snapshot")?,
        }
    }
    print_warnings(found, out)?;
    print_damages(found, out)?;
    writeln!(out, "{}", summary(found))
}

/// Whose directory it is, and who has it open.
pub(super) fn print_head(found: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    let dir = found.dir.display();
    match (&found.identity, found.incarnation) {
        (Some(identity), Some(incarnation)) => {
            writeln!(out, "{dir}: {identity}, incarnation {incarnation:#x}")?;
        }
        (Some(_) | None, _) => writeln!(out, "{dir}: whose it is cannot be read")?,
    }
    if let Some(holder) = &found.in_use_by {
        writeln!(out, "{holder} has it open, so the picture may be moving")?;
    }
    Ok(())
}

fn print_warnings(found: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    if let Some(tail) = &found.torn_tail {
        writeln!(
            out,
            "would be cut: {} from byte {} on, {} bytes: {}; a crash interrupted this write and nothing of \
             it was acknowledged, so start the node",
            tail.path.display(),
            tail.offset,
            tail.byte_count,
            tail.damage
        )?;
        for group in &found.groups {
            writeln!(out, "  group {} then goes on with entry {}", group.group, group.last().next())?;
        }
    }
    if let Some(loss) = &found.mark_loss {
        writeln!(
            out,
            "warning: {}: {} of 2 slots cannot be read; the last flush before this may be lost unseen, and \
             if it is, this node must leave the cluster and join again under a new id",
            loss.path.display(),
            loss.unreadable_slots
        )?;
    }
    for damage in found.damages.iter().filter(|damage| !damage.is_fatal) {
        writeln!(
            out,
            "warning: {} is damaged at byte {}: {}; another snapshot or the log makes up for it, so leave it: \
             the next snapshots replace it",
            damage.path.display(),
            damage.offset,
            damage.damage
        )?;
    }
    if !found.ignored_files.is_empty() {
        // A name may hold what looks like a line of this text.
        let names: Vec<_> = found.ignored_files.iter().map(|name| name.escape_debug().to_string()).collect();
        writeln!(out, "files that are none of the log's: {}", names.join(", "))?;
    }
    Ok(())
}

fn print_damages(found: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    for refusal in &found.refusals {
        writeln!(out, "refused: {refusal}")?;
    }
    let is_said = |text: &String| found.refusals.iter().any(|refusal| refusal.to_string().ends_with(text));
    for damage in found.damages.iter().filter(|damage| damage.is_fatal) {
        let FoundDamage { path, offset, damage, lost, .. } = damage.clone();
        let text = OpenError::Damaged { path, offset, damage, lost }.to_string();
        if !is_said(&text) {
            writeln!(out, "damaged as well: {text}")?;
        }
    }
    if found.refusals.iter().any(|refusal| matches!(refusal, Refusal::Log(OpenError::Damaged { .. }))) {
        for group in &found.groups {
            writeln!(
                out,
                "  before the damage, group {} is whole up to entry {}",
                group.group,
                group.last()
            )?;
        }
    }
    Ok(())
}

fn summary(found: &Inspection) -> &'static str {
    match found.outcome() {
        Outcome::Whole => "whole",
        Outcome::Warnings => "a node starts here, see above",
        Outcome::Damaged => "a node refuses to start here, see above",
        Outcome::Unreadable if !found.is_steady => {
            "cannot tell: the process that has the directory open changed it all the while; try again, or \
             stop that process first"
        }
        Outcome::Unreadable => "cannot tell: not everything could be read, see above",
    }
}
