//! 802.1Q tags on a server's tap device, as OpenVPN's manual describes `vlan-tagging`.
//!
//! Frames of peers have no tag but one for a priority; which VLAN a peer is in is its setting.

use crate::ether::HEADER_LEN;

const ETHER_TYPE: [u8; 2] = [0x81, 0x00];
const TAG_LEN: usize = 4;
const NUMBER: u16 = 0x0FFF;

/// Which frames of the device are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// All.
    All,
    /// Those that name a VLAN.
    Tagged,
    /// Those that name none.
    Untagged,
}

/// The rules of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlans {
    /// Which frames are let in.
    pub accept: Accept,
    /// The VLAN of frames that name none.
    pub pvid: u16,
}

/// A frame that may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not whole.
    Malformed,
    /// Its VLAN is not let in.
    Vlan,
}

/// What a frame becomes on its way to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dress {
    /// It goes as it is.
    AsItIs,
    /// It gets a tag, to be made with `tagged`.
    Tag,
}

/// The VLAN in the tag of a frame, 0 for a tag with a priority only; None without a whole tag.
pub fn tag_of(frame: &[u8]) -> Option<u16> {
    let head = frame.first_chunk::<{ HEADER_LEN + TAG_LEN }>()?;
    (head[12..14] == ETHER_TYPE).then(|| u16::from_be_bytes([head[14], head[15]]) & NUMBER)
}

impl Vlans {
    /// The VLAN of a frame of the device, which loses its tag: the frame begins at the offset then.
    /// A tag with a priority only stays.
    pub fn untag(&self, frame: &mut [u8]) -> Result<(u16, usize), Refused> {
        let found = tag_of(frame);
        if found.is_none() && frame.get(12..14) == Some(&ETHER_TYPE) {
            return Err(Refused::Malformed);
        }
        match found.filter(|number| *number != 0) {
            None if self.accept == Accept::Tagged => Err(Refused::Vlan),
            None => Ok((self.pvid, 0)),
            Some(_) if self.accept == Accept::Untagged => Err(Refused::Vlan),
            Some(number) => {
                frame.copy_within(..12, TAG_LEN);
                Ok((number, TAG_LEN))
            }
        }
    }

    /// How the device gets a frame of a VLAN; None when it gets none of that VLAN.
    pub fn dress(&self, vlan: u16) -> Option<Dress> {
        if vlan == self.pvid && self.accept != Accept::Tagged {
            return Some(Dress::AsItIs);
        }
        (self.accept != Accept::Untagged).then_some(Dress::Tag)
    }
}

/// The frame with a tag for the VLAN; a tag for a priority gets the number as well.
pub fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(frame.len() + TAG_LEN);
    let (addresses, rest) = frame.split_at(12.min(frame.len()));
    out.extend_from_slice(addresses);
    out.extend_from_slice(&ETHER_TYPE);
    if tag_of(frame).is_some() {
        let control = u16::from_be_bytes([rest[2], rest[3]]) | vlan;
        out.extend_from_slice(&control.to_be_bytes());
        out.extend_from_slice(&rest[TAG_LEN..]);
    } else {
        out.extend_from_slice(&vlan.to_be_bytes());
        out.extend_from_slice(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(control: Option<u16>) -> Vec<u8> {
        let mut frame = (0..12).collect::<Vec<u8>>();
        if let Some(control) = control {
            frame.extend_from_slice(&ETHER_TYPE);
            frame.extend_from_slice(&control.to_be_bytes());
        }
        frame.extend_from_slice(&[0x08, 0x00, 0x45, 1, 2, 3]);
        frame
    }

    #[test]
    fn what_the_device_may_send() {
        use Accept::{All, Tagged, Untagged};
        for (accept, control, expected) in [
            (All, None, Ok((9, 0))),
            (All, Some(5), Ok((5, 4))),
            (All, Some(0xE000), Ok((9, 0))),
            (Tagged, Some(5), Ok((5, 4))),
            (Tagged, None, Err(Refused::Vlan)),
            (Tagged, Some(0), Err(Refused::Vlan)),
            (Untagged, None, Ok((9, 0))),
            (Untagged, Some(0), Ok((9, 0))),
            (Untagged, Some(5), Err(Refused::Vlan)),
        ] {
            let mut sent = frame(control);
            let found = Vlans { accept, pvid: 9 }.untag(&mut sent);
            assert_eq!(found, expected, "{accept:?} {control:?}");
            if let Ok((_, 4)) = found {
                assert_eq!(sent[4..], frame(None));
            }
        }
        let mut cut = frame(Some(5));
        cut.truncate(15);
        assert_eq!(Vlans { accept: All, pvid: 9 }.untag(&mut cut), Err(Refused::Malformed));
    }

    #[test]
    fn what_the_device_gets() {
        let vlans = |accept| Vlans { accept, pvid: 9 };
        assert_eq!(vlans(Accept::All).dress(9), Some(Dress::AsItIs));
        assert_eq!(vlans(Accept::All).dress(5), Some(Dress::Tag));
        assert_eq!(vlans(Accept::Tagged).dress(9), Some(Dress::Tag));
        assert_eq!(vlans(Accept::Untagged).dress(9), Some(Dress::AsItIs));
        assert_eq!(vlans(Accept::Untagged).dress(5), None);
        assert_eq!(tagged(&frame(None), 5), frame(Some(5)));
        assert_eq!(tagged(&frame(Some(0xE000)), 5), frame(Some(0xE005)));
        assert_eq!(tagged(&[1, 2], 5), [1, 2, 0x81, 0, 0, 5]);
    }
}
