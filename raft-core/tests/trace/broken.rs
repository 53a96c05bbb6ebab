//! The validator finds what is wrong: each of its rules, with the script's trace broken in one place.

use crate::validator::Broken;
use crate::{script, validate};

/// The rule that the script's trace breaks after this change.
fn broken(change: impl FnOnce(&mut Vec<String>)) -> Broken {
    let mut lines = script::story();
    change(&mut lines);
    validate(&lines).expect_err("the trace is broken").1
}

/// The same without the first line that has all of these parts.
fn without(parts: &[&str]) -> Broken {
    broken(|lines| drop(lines.remove(find(lines, parts))))
}

/// The same with a part of that line replaced.
fn with(parts: &[&str], from: &str, to: &str) -> Broken {
    broken(|lines| replace(lines, parts, from, to))
}

fn replace(lines: &mut [String], parts: &[&str], from: &str, to: &str) {
    let at = find(lines, parts);
    assert!(lines[at].contains(from), "{from} in {}", lines[at]);
    lines[at] = lines[at].replacen(from, to, 1);
}

fn find(lines: &[String], parts: &[&str]) -> usize {
    lines.iter().position(|line| parts.iter().all(|part| line.contains(part))).unwrap()
}

#[test]
fn a_message_that_nobody_sent_is_found() {
    let sent = ["SendRequestVoteRequest", r#""to":"2""#];
    assert_eq!(without(&sent), Broken::NeverSent);
    assert_eq!(with(&sent, r#""index":0"#, r#""index":1"#), Broken::NeverSent);
}

#[test]
fn a_leader_without_a_quorum_is_found() {
    let vote = ["ReceiveRequestVoteResponse", r#""nid":"1""#, r#""from":"2""#];
    assert_eq!(without(&vote), Broken::Votes);
    let refused = broken(|lines| {
        for parts in [["SendRequestVoteResponse", r#""from":"2""#], [vote[0], vote[2]]] {
            replace(lines, &parts, r#""reject":false"#, r#""reject":true"#);
        }
    });
    assert_eq!(refused, Broken::Votes);
}

#[test]
fn a_second_leader_is_found() {
    let twice = broken(|lines| {
        let at = find(lines, &["BecomeLeader"]);
        lines.insert(at, lines[at].clone());
    });
    assert_eq!(twice, Broken::SecondLeader);
}

#[test]
fn a_commit_without_a_quorum_is_found() {
    let unanswered = broken(|lines| lines.retain(|line| !line.contains("ReceiveAppendEntriesResponse")));
    assert_eq!(unanswered, Broken::LeaderCommit);
    assert_eq!(with(&[r#""Commit""#], r#""commit":1"#, r#""commit":2"#), Broken::LeaderCommit);
}

#[test]
fn a_commit_that_no_leader_told_is_found() {
    let ready = [r#""Ready","nid":"3""#, r#""commit":1"#];
    assert_eq!(with(&ready, r#""commit":1"#, r#""commit":2"#), Broken::FollowerCommit);
}

#[test]
fn a_log_that_changes_by_itself_is_found() {
    assert_eq!(without(&["Replicate"]), Broken::Log);
    let received = ["ReceiveAppendEntriesRequest", r#""nid":"2""#, r#""entries":1"#];
    assert_eq!(without(&received), Broken::Log);
}

#[test]
fn a_term_or_a_vote_from_nowhere_is_found() {
    assert_eq!(without(&["ReceiveRequestVoteRequest", r#""nid":"2""#]), Broken::Term);
    assert_eq!(with(&["BecomeCandidate"], r#""term":1"#, r#""term":2"#), Broken::Term);
    let told = ["SendRequestVoteResponse", r#""nid":"2""#];
    assert_eq!(with(&told, r#""vote":"1""#, r#""vote":"3""#), Broken::Vote);
}

#[test]
fn a_forgotten_vote_is_found() {
    let forgotten = broken(|lines| {
        let start = lines[find(lines, &["InitState", r#""nid":"2""#])].clone();
        let at = find(lines, &["SendRequestVoteResponse", r#""nid":"2""#]);
        lines.insert(at + 1, start);
    });
    assert_eq!(forgotten, Broken::ForgottenVote);
}

#[test]
fn a_role_that_does_not_fit_is_found() {
    assert_eq!(without(&["BecomeLeader"]), Broken::State);
    assert_eq!(without(&["InitState"]), Broken::NotStarted);
    let follower = broken(|lines| {
        let at = find(lines, &["SendAppendEntriesResponse", r#""nid":"2""#]);
        lines[at] = lines[at].replace("SendAppendEntriesResponse", "SendAppendEntriesRequest");
        lines[at] = lines[at].replace("MsgAppResp", "MsgApp");
    });
    assert_eq!(follower, Broken::Send);
}

#[test]
fn a_change_of_membership_too_early_or_untold_is_found() {
    assert_eq!(with(&["Replicate"], "Replicate", "ChangeConf"), Broken::EarlyConfChange);
    let applied = ["ApplyConfChange"];
    assert_eq!(with(&applied, r#""newconf":["1","2","3""#, r#""newconf":["1","2""#), Broken::Conf);
}

#[test]
fn an_event_of_another_name_is_found() {
    assert_eq!(with(&[r#""Ready""#], r#""Ready""#, r#""Done""#), Broken::UnknownEvent);
}
