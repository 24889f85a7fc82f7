//! What the engine hands up: control packets and reports, in bounded queues behind an eventfd.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ginnel_netio::event::EventFd;

use crate::control::{Control, Lanes, Standing};

/// Reports that a peer can cause at will; all others come once a peer, key or link.
const MAX_NOTES: usize = 256;
/// OCC messages, which a peer can send at will, leave room for everything else.
const MAX_OCC_NOTES: usize = 64;
/// The largest messages are those that measure the path; all notes together stay small.
const MAX_OCC_LEN: usize = 16_384;

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// Nothing authentic was heard for too long.
    Silent,
    /// Too little traffic.
    Inactive,
    /// The peer moved to `remote`, on `link`.
    Floated,
    /// The key in `key_id` nears a limit.
    KeyExhausted,
    /// A packet of a stream did not open.
    DecryptError,
    /// The socket of `link` is of no more use.
    LinkLost,
    /// The device is of no more use.
    TunLost,
    /// An OCC message, whole, in `payload`.
    Occ,
    /// Packets come with another framing than ours, or compressed: the first byte of the first
    /// such payload is in `payload`.
    BadFraming,
    /// An inner source that is not the peer's: the address is in `payload`.
    BadSource,
    /// The hardware address in `payload`, in `vlan`, is the peer's.
    Learned,
    /// The same of an address that was another peer's.
    Relearned,
    /// A learnt address went stale.
    Forgotten,
    /// The system refused a datagram: the path to `remote`, on `link`, takes only shorter ones.
    TooLong,
}

/// One report; fields that do not belong to its kind are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What happened.
    pub kind: NoteKind,
    /// To which peer; `UNDEFINED_PEER_ID` when to none.
    pub peer_id: u32,
    /// For a key.
    pub key_id: u8,
    /// For a float, and for a datagram too long for its path.
    pub remote: Option<SocketAddr>,
    /// For a lost link or device.
    pub errno: i32,
    /// For an OCC message, and for an address.
    pub payload: Vec<u8>,
    /// For a lost link, a float, and a datagram too long for its path.
    pub link: u32,
    /// For a learnt address.
    pub vlan: u16,
    /// For a float: which of our addresses the peer sends to. For a datagram: where it is sent from.
    pub local: Option<IpAddr>,
}

impl Note {
    pub(crate) const fn new(kind: NoteKind, peer_id: u32) -> Self {
        Self {
            kind,
            peer_id,
            key_id: 0,
            remote: None,
            errno: 0,
            payload: Vec::new(),
            link: 0,
            vlan: 0,
            local: None,
        }
    }

    /// What makes two reports say the same; None for those that never do.
    fn identity(&self) -> Option<Identity> {
        match self.kind {
            NoteKind::Occ | NoteKind::Learned | NoteKind::Relearned | NoteKind::Forgotten => None,
            kind => Some((kind, self.peer_id, self.key_id, self.link)),
        }
    }

    /// True for what a peer can cause as often as it likes.
    const fn is_at_will(&self) -> bool {
        matches!(
            self.kind,
            NoteKind::Occ
                | NoteKind::BadFraming
                | NoteKind::BadSource
                | NoteKind::Learned
                | NoteKind::Relearned
                | NoteKind::Forgotten
                | NoteKind::TooLong
        )
    }
}

type Identity = (NoteKind, u32, u8, u32);

#[derive(Default)]
struct Queues {
    control: Lanes,
    notes: VecDeque<Note>,
    identities: HashSet<Identity>,
    at_will: usize,
    occ: usize,
}

pub(crate) struct Outbox {
    queues: Mutex<Queues>,
    event: EventFd,
}

impl Outbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { queues: Mutex::new(Queues::default()), event: EventFd::new()? })
    }

    pub(crate) fn number(&self) -> RawFd {
        self.event.number()
    }

    /// Queues a control packet; false when too many wait.
    pub(crate) fn push_control(&self, packet: Control, standing: Standing) -> bool {
        let mut queues = self.lock();
        let was_empty = queues.is_empty();
        let is_kept = queues.control.push(packet, standing);
        if was_empty && is_kept {
            self.event.signal();
        }
        is_kept
    }

    /// True while one more report on a learnt address will be kept.
    pub(crate) fn has_room(&self) -> bool {
        self.lock().at_will < MAX_NOTES
    }

    /// Queues a report. One that says nothing new beside a waiting one is left out.
    pub(crate) fn push_note(&self, note: Note) {
        let mut queues = self.lock();
        if let Some(identity) = note.identity()
            && !queues.identities.insert(identity)
        {
            if note.kind == NoteKind::Floated {
                // Only the last place matters.
                let same = |old: &Note| old.kind == note.kind && old.peer_id == note.peer_id;
                queues.notes.retain(|old| !same(old));
                queues.notes.push_back(note);
            }
            return;
        }
        self.keep_note(queues, note);
    }

    /// Queues an OCC message; one too many or too long costs nothing.
    pub(crate) fn push_occ(&self, peer_id: u32, payload: &[u8]) {
        let mut queues = self.lock();
        if queues.occ >= MAX_OCC_NOTES || payload.len() > MAX_OCC_LEN {
            return;
        }
        queues.occ += 1;
        let note = Note { payload: payload.to_vec(), ..Note::new(NoteKind::Occ, peer_id) };
        self.keep_note(queues, note);
    }

    fn keep_note(&self, mut queues: MutexGuard<'_, Queues>, note: Note) {
        if note.is_at_will() {
            if queues.at_will >= MAX_NOTES {
                if let Some(identity) = note.identity() {
                    queues.identities.remove(&identity);
                }
                return;
            }
            queues.at_will += 1;
        }
        let was_empty = queues.is_empty();
        queues.notes.push_back(note);
        if was_empty {
            self.event.signal();
        }
    }

    pub(crate) fn take_notes(&self) -> Vec<Note> {
        let mut queues = self.lock();
        queues.occ = 0;
        queues.at_will = 0;
        queues.identities.clear();
        let notes = queues.notes.drain(..).collect();
        self.settle(&queues);
        notes
    }

    pub(crate) fn take_control(&self, limit: usize) -> Vec<Control> {
        let mut queues = self.lock();
        let control = queues.control.take(limit);
        self.settle(&queues);
        control
    }

    fn settle(&self, queues: &Queues) {
        if queues.is_empty() {
            self.event.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn is_empty(&self) -> bool {
        self.control.is_empty() && self.notes.is_empty()
    }
}
