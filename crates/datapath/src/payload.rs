//! What is done to payloads beside sealing them: framing, fragments, address translation and so on.
//!
//! A peer has a [`Payload`] only when at least one of these is configured, so that everybody else
//! pays for none. Order on the way out: packet, compression framing, fragment header, seal.

pub mod cut;
pub mod fragment;
pub mod framing;
pub mod lzo;
pub mod nat;
pub mod refusal;
pub mod shaper;

use std::net::Ipv6Addr;
use std::ops::Range;

use self::fragment::{Cut, Fragments, Taken};
use self::framing::{Algorithm, Framing, Unframed};
use self::nat::{Direction, NatRule};
use self::shaper::Shaper;
use crate::ether;
use crate::stats::Drop;

/// What is configured for a peer.
#[derive(Clone, Debug, Default)]
pub struct PayloadSpec {
    /// Compression framing, if any.
    pub framing: Option<Framing>,
    /// Decompress what the peer compressed.
    pub decompress: bool,
    /// Most bytes behind a fragment header; 0 for no such headers.
    pub fragment: usize,
    /// Translation of IPv4 addresses.
    pub nat: Vec<NatRule>,
    /// Answer IPv6 packets from tun with an error from this address, and send none.
    pub block_ipv6: Option<Ipv6Addr>,
    /// Bytes a second that may be sent; 0 for no limit.
    pub shaper: u32,
    /// Copy the type of service of packets from tun to the datagrams that carry them.
    pub pass_tos: bool,
}

impl PayloadSpec {
    /// True when nothing is configured.
    pub fn is_empty(&self) -> bool {
        self.framing.is_none()
            && self.fragment == 0
            && self.nat.is_empty()
            && self.block_ipv6.is_none()
            && self.shaper == 0
            && !self.pass_tos
    }
}

/// A received payload without framing and fragment header.
#[derive(Debug)]
pub enum Unwrapped {
    /// It lies where it was.
    Here(Range<usize>),
    /// It was put together or decompressed, and lies in a buffer of its own.
    Apart(Vec<u8>, Range<usize>),
    /// Parts of it are missing still.
    Unfinished,
}

/// How a payload of a certain length is sent.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Behind so many bytes of a fragment header, which are zeros.
    Whole(usize),
    /// In parts.
    Cut(Cut),
}

/// The state of one peer.
#[derive(Debug)]
pub struct Payload {
    spec: PayloadSpec,
    is_ethernet: bool,
    /// Longest packet that decompression or fragments may give.
    limit: usize,
    fragments: Option<Fragments>,
    /// Present when there is a limit.
    pub shaper: Option<Shaper>,
    /// For packets that are cut.
    pub scratch: Vec<u8>,
    /// First byte of the payload that was last refused for its framing.
    pub refused: u8,
}

impl Payload {
    /// `limit` is the longest packet that the device may be given.
    pub fn new(spec: PayloadSpec, limit: usize, is_ethernet: bool) -> Self {
        // Framing adds up to two bytes to what fragments carry.
        let fragments = (spec.fragment > 0).then(|| Fragments::new(spec.fragment, limit + 2));
        let shaper = (spec.shaper > 0).then(|| Shaper::new(spec.shaper));
        Self { spec, is_ethernet, limit, fragments, shaper, scratch: Vec::new(), refused: 0 }
    }

    // --- out -------------------------------------------------------------------------------

    /// Bytes that framing puts in front and at the end of a packet that begins with `first`.
    pub fn room(&self, first: u8) -> (usize, usize) {
        self.spec.framing.map_or((0, 0), |framing| framing.room(first))
    }

    /// Translates and frames a packet that lies in `framed` with its room around it.
    pub fn frame(&self, framed: &mut [u8], (front, back): (usize, usize)) {
        let end = framed.len() - back;
        self.translate(&mut framed[front..end], Direction::Out);
        if let Some(framing) = self.spec.framing {
            framing.mark(framed, front);
        }
    }

    /// Decides how a framed packet is sent.
    pub fn shape(&mut self, framed: usize) -> Result<Shape, Drop> {
        let Some(fragments) = &mut self.fragments else { return Ok(Shape::Whole(0)) };
        match fragments.cut(framed) {
            Ok(None) => Ok(Shape::Whole(fragment::HEADER_LEN)),
            Ok(Some(cut)) => Ok(Shape::Cut(cut)),
            Err(_) => Err(Drop::TooBig),
        }
    }

    /// The error message to answer a packet from tun with: Some when IPv6 is blocked and this is
    /// IPv6; empty when nothing must be answered.
    pub fn refuse(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let from = self.spec.block_ipv6?;
        let at = self.ip_at(packet)?;
        if packet.get(at)? >> 4 != 6 {
            return None;
        }
        let Some(error) = refusal::no_route(&packet[at..], from) else { return Some(vec![]) };
        Some(refusal::returned(packet, at, error))
    }

    /// Type of service, or traffic class, that the datagram of a packet gets.
    pub fn tos_of(&self, packet: &[u8]) -> u8 {
        let Some(at) = self.ip_at(packet).filter(|_| self.spec.pass_tos) else { return 0 };
        match packet[at..] {
            [first, second, ..] if first >> 4 == 4 => second,
            [first, second, ..] if first >> 4 == 6 => first << 4 | second >> 4,
            _ => 0,
        }
    }

    /// How many unfinished payloads are kept.
    pub fn unfinished(&self) -> usize {
        self.fragments.as_ref().map_or(0, Fragments::unfinished)
    }

    // --- in --------------------------------------------------------------------------------

    /// Takes fragment header and framing off an opened payload.
    pub fn unwrap(&mut self, payload: &mut [u8], now_ms: u64) -> Result<Unwrapped, Drop> {
        let mut start = 0;
        if let Some(fragments) = &mut self.fragments {
            let taken = fragments.take(payload, now_ms).map_err(|_| Drop::Fragment)?;
            match taken {
                Taken::Whole => start = fragment::HEADER_LEN,
                Taken::Unfinished => return Ok(Unwrapped::Unfinished),
                Taken::Finished(mut whole) => {
                    return Ok(match self.unframe(&mut whole)? {
                        Unwrapped::Here(range) => Unwrapped::Apart(whole, range),
                        other => other,
                    });
                }
            }
        }
        Ok(match self.unframe(&mut payload[start..])? {
            Unwrapped::Here(range) => Unwrapped::Here(start + range.start..start + range.end),
            other => other,
        })
    }

    fn unframe(&mut self, framed: &mut [u8]) -> Result<Unwrapped, Drop> {
        let Some(framing) = self.spec.framing else { return Ok(Unwrapped::Here(0..framed.len())) };
        self.refused = framed.first().copied().unwrap_or_default();
        let (algorithm, range) = match framing.read(framed).map_err(|_| Drop::Framing)? {
            Unframed::Plain(range) => return Ok(Unwrapped::Here(range)),
            Unframed::Compressed(algorithm, range) => (algorithm, range),
        };
        if !self.spec.decompress {
            return Err(Drop::Compressed);
        }
        let mut output = vec![0; self.limit];
        let input = &framed[range];
        let length = match algorithm {
            Algorithm::Lzo => lzo::decompress(input, &mut output).ok(),
            Algorithm::Lz4 => lz4_flex::block::decompress_into(input, &mut output).ok(),
        };
        Ok(Unwrapped::Apart(output, 0..length.ok_or(Drop::Decompression)?))
    }

    /// Translates the addresses of a packet.
    pub fn translate(&self, packet: &mut [u8], direction: Direction) {
        if !self.spec.nat.is_empty()
            && let Some(at) = self.ip_at(packet)
        {
            nat::translate(&self.spec.nat, &mut packet[at..], direction);
        }
    }

    fn ip_at(&self, packet: &[u8]) -> Option<usize> {
        if self.is_ethernet { ether::ip_offset(packet) } else { Some(0) }
    }
}
