//! What becomes of packets that the path to a peer does not take.

use ginnel_datapath::ether;
use ginnel_datapath::payload::{cut, refusal};
use ginnel_datapath::peer::Peer;
use ginnel_datapath::segment::Plan;
use ginnel_datapath::stats::Drop;

use crate::lane::Ways;
use crate::outbox::{Note, NoteKind, Outbox};

/// Milliseconds between two reports on one peer's packets that are too long for the path.
const TOO_LONG_PAUSE_MS: u64 = 1000;

/// What an answer to a packet that is too long for the path of its peer costs, in milliseconds,
/// and how many of them may be owed: as many a second, and at once, as Linux sends ICMP errors.
const ANSWER_COST_MS: u64 = 1;
const ANSWER_CREDIT_MS: u64 = 50;

/// Fits a packet to the path. Ok is what to send in its stead, nothing when it goes as it is; an
/// error is what answers it, empty for no answer now.
#[inline]
pub(crate) fn fit(
    peer: &mut Peer,
    plan: Plan,
    packet: &[u8],
    ways: Ways,
) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    match peer.inner_mtu {
        None => Ok(vec![]),
        Some(mtu) => fit_to(peer, mtu, plan, packet, ways),
    }
}

/// Apart, so that the usual path stays short.
#[cold]
fn fit_to(
    peer: &mut Peer,
    mtu: u16,
    plan: Plan,
    packet: &[u8],
    ways: Ways,
) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    let header = if ways.is_ethernet { ether::HEADER_LEN } else { 0 };
    let (count, longest) = match plan {
        Plan::Whole => (1, packet.len()),
        Plan::Split(segments) => (segments.count(), segments.len(0)),
    };
    if longest <= usize::from(mtu) + header {
        return Ok(vec![]);
    }
    let at = if ways.is_ethernet { ether::ip_offset(packet) } else { Some(0) };
    let Some(at) = at else { return Ok(vec![]) };
    // A tag takes room.
    let mtu = mtu.saturating_sub((at - header) as u16);
    let segment = |index| match plan {
        Plan::Whole => packet.to_vec(),
        Plan::Split(segments) => {
            let mut segment = vec![0; segments.len(index)];
            segments.write(index, packet, &mut segment);
            segment
        }
    };
    let first = segment(0);
    if let Some(answer) = refusal::too_long(&first, at, mtu) {
        peer.stats.drop(Drop::TooBig, count as u64);
        return Err(if may_answer(peer, ways.now) { answer } else { vec![] });
    }
    let Some(mut parts) = cut::cut(&first, at, mtu) else { return Ok(vec![]) };
    for segment in (1..count).map(segment) {
        match cut::cut(&segment, at, mtu) {
            Some(more) => parts.extend(more),
            None => parts.push(segment),
        }
    }
    Ok(parts)
}

fn may_answer(peer: &mut Peer, now: u64) -> bool {
    let may = peer.answers_until <= now + ANSWER_CREDIT_MS;
    if may {
        peer.answers_until = peer.answers_until.max(now) + ANSWER_COST_MS;
    }
    may
}

/// How long the path is, whoever takes the report finds out: that needs calls of the system.
pub(crate) fn report_too_long(peer: &mut Peer, outbox: &Outbox, now: u64) {
    if peer.too_long_at.is_some_and(|last| now < last + TOO_LONG_PAUSE_MS) {
        return;
    }
    peer.too_long_at = Some(now);
    let note = Note::new(NoteKind::TooLong, peer.config().peer_id);
    outbox.push_note(Note { remote: peer.remote, link: peer.link, local: peer.local, ..note });
}
