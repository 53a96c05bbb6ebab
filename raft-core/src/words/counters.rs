//! Counts of what a node went through: the ordinary, and what is ordinary only if it is rare.
//!
//! Messages that break a rule are counted by rule, see [`Offence`](crate::Offence).

/// What happened in a node since it started. Every count only rises.
///
/// None of these is an error. A network that loses, delays and duplicates raises those of late and
/// refused messages; a rate that is much higher at one node than at the others points at its
/// connection, its disk or its settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Times it asked whether it could win an election (diss. §9.6).
    pub pre_votes: u64,
    /// Times it stood for election.
    pub elections: u64,
    /// Times it was elected.
    pub leaderships: u64,
    /// Times a message brought a higher term.
    pub terms_learned: u64,
    /// Votes given to others, repeated answers included.
    pub votes_granted: u64,
    /// Votes refused because the candidate's term is over.
    pub votes_refused_for_term: u64,
    /// Votes refused because the candidate's log lacks entries (Raft §5.4.1).
    pub votes_refused_for_log: u64,
    /// Votes refused because this node had voted, or follows a leader of the term.
    pub votes_refused_as_bound: u64,
    /// Requests for votes ignored because a leader is heard (diss. §4.2.3).
    pub votes_ignored_for_leader: u64,
    /// Answers to its candidacies that came too late: of an earlier term or campaign, or when it was
    /// over.
    pub late_vote_replies: u64,
    /// Messages of leaders whose term is over.
    pub late_leader_messages: u64,
    /// Followers' answers of earlier terms, or to a leadership that is over.
    pub late_follower_replies: u64,
    /// Followers' answers that a newer one had overtaken.
    pub stale_follower_replies: u64,
    /// Appends it refused as a follower because the logs differ before them (Raft §5.3).
    pub appends_refused: u64,
    /// Times it cut entries off its log for a leader's.
    pub truncations: u64,
    /// Times it went back as a leader to find where a follower's log meets its own.
    pub back_offs: u64,
    /// Times it found as a leader that what it sent to a follower got lost.
    pub losses_found: u64,
    /// Answers to reads that needed no round, thanks to a lease. Reads that were asked for between two
    /// drains share an answer.
    pub lease_reads: u64,
    /// Rounds begun for reads.
    pub read_rounds: u64,
    /// Snapshots taken of its own state.
    pub snapshots_taken: u64,
    /// Snapshots it began to send.
    pub snapshots_sent: u64,
    /// Snapshots of leaders that it put in force.
    pub snapshots_installed: u64,
    /// Times the log was made to begin later.
    pub compactions: u64,
}
