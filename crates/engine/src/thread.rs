//! The engine's thread, and the gate through which it and callers reach the state.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use ginnel_netio::event::{EventFd, Interest, MAX_READY, Ready};
use ginnel_netio::sys::block_signals;

use crate::state::{State, WAKE_TOKEN};

/// Lets the thread and the callers take turns: who waits goes next.
///
/// `turn` is held while one waits for `state`. The thread comes back to it after every batch, so a
/// caller waits for one batch at most, and pays no lock per packet.
pub(crate) struct Gate {
    turn: Mutex<()>,
    state: Mutex<Option<State>>,
    wake: EventFd,
}

impl Gate {
    pub(crate) fn new(state: State) -> io::Result<Self> {
        let wake = EventFd::new()?;
        state.epoll.add(wake.as_fd(), WAKE_TOKEN, Interest::READ)?;
        Ok(Self { turn: Mutex::new(()), state: Mutex::new(Some(state)), wake })
    }

    /// Runs a caller's change; `EBADF` once closed.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> io::Result<R> {
        let mut guard = self.lock();
        let state = guard.as_mut().ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
        state.read_clock();
        let before = state.wait_ms();
        let result = change(state);
        // The thread sleeps until the deadline it knew: tell it about an earlier one.
        if state.wait_ms() < before {
            self.wake.signal();
        }
        Ok(result)
    }

    /// Drops the state, and with it keys and descriptors; the thread ends.
    pub(crate) fn close(&self) {
        let state = self.lock().take();
        drop(state);
        self.wake.signal();
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(turn);
        state
    }
}

/// The running thread.
pub(crate) struct Worker(JoinHandle<()>);

impl Worker {
    pub(crate) fn start(gate: Arc<Gate>) -> io::Result<Self> {
        let body = move || {
            block_signals();
            run(&gate);
        };
        Ok(Self(Builder::new().name("ginnel-engine".to_owned()).spawn(body)?))
    }

    pub(crate) fn join(self) {
        // A panic of the thread has already ended the process, or been shown in a test.
        let _ = self.0.join();
    }
}

fn run(gate: &Gate) {
    let mut ready = [Ready::default(); MAX_READY];
    let (epoll, mut timeout) = {
        let mut guard = gate.lock();
        let Some(state) = guard.as_mut() else { return };
        (Arc::clone(&state.epoll), state.wait_ms())
    };
    loop {
        let Ok(count) = epoll.wait(&mut ready, timeout) else { return };
        let ready = &ready[..count];
        if ready.iter().any(|one| one.token == WAKE_TOKEN) {
            gate.wake.clear();
        }
        let mut guard = gate.lock();
        let Some(state) = guard.as_mut() else { return };
        state.read_clock();
        state.turn(ready);
        timeout = state.wait_ms();
        let rest = state.pace.take_rest();
        drop(guard);
        if let Some(rest) = rest {
            std::thread::sleep(rest);
        }
    }
}
