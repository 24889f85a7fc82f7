//! What the engine hands up: control packets and reports, in bounded queues behind an eventfd.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ginnel_netio::event::EventFd;

const MAX_CONTROL: usize = 256;
/// Past this many only a peer's address adds to them, so that strangers cannot shut it out.
const MAX_CONTROL_OF_STRANGERS: usize = MAX_CONTROL / 2;
const MAX_NOTES: usize = 256;
/// OCC messages, which a peer can send at will, leave room for everything else.
const MAX_OCC_NOTES: usize = 64;
/// The largest messages are those that measure the path; all notes together stay small.
const MAX_OCC_LEN: usize = 16_384;

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// Nothing authentic was heard for too long.
    Silent,
    /// Too little traffic.
    Inactive,
    /// The peer moved to `remote`.
    Floated,
    /// The key in `key_id` nears a limit.
    KeyExhausted,
    /// A packet of a stream did not open.
    DecryptError,
    /// The socket is of no more use.
    LinkLost,
    /// The device is of no more use.
    TunLost,
    /// An OCC message, whole, in `payload`.
    Occ,
    /// Packets come with another framing than ours, or compressed: the first byte of the first
    /// such payload is in `payload`.
    BadFraming,
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
    /// For a float.
    pub remote: Option<SocketAddr>,
    /// For a lost link or device.
    pub errno: i32,
    /// For an OCC message.
    pub payload: Vec<u8>,
}

impl Note {
    pub(crate) const fn new(kind: NoteKind, peer_id: u32) -> Self {
        Self { kind, peer_id, key_id: 0, remote: None, errno: 0, payload: Vec::new() }
    }
}

/// A packet that is not data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The packet, whole.
    pub payload: Vec<u8>,
    /// Where it came from; None on TCP.
    pub source: Option<SocketAddr>,
}

#[derive(Default)]
struct Queues {
    control: VecDeque<Control>,
    notes: VecDeque<Note>,
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
    pub(crate) fn push_control(
        &self,
        payload: &[u8],
        source: Option<SocketAddr>,
        is_peer: bool,
    ) -> bool {
        let mut queues = self.lock();
        let limit = if is_peer { MAX_CONTROL } else { MAX_CONTROL_OF_STRANGERS };
        if queues.control.len() >= limit {
            return false;
        }
        let was_empty = queues.is_empty();
        queues.control.push_back(Control { payload: payload.to_vec(), source });
        if was_empty {
            self.event.signal();
        }
        true
    }

    /// Queues a report. One that says nothing new beside a waiting one is left out.
    pub(crate) fn push_note(&self, note: Note) {
        let mut queues = self.lock();
        if note.kind == NoteKind::Floated {
            // Only the last address matters.
            let same = |old: &Note| old.kind == note.kind && old.peer_id == note.peer_id;
            queues.notes.retain(|old| !same(old));
        } else if queues.notes.contains(&note) {
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
        if queues.notes.len() >= MAX_NOTES {
            return;
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
        let notes = queues.notes.drain(..).collect();
        self.settle(&queues);
        notes
    }

    pub(crate) fn take_control(&self, limit: usize) -> Vec<Control> {
        let mut queues = self.lock();
        let count = limit.min(queues.control.len());
        let control = queues.control.drain(..count).collect();
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
