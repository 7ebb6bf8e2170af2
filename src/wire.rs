//! Values as bytes, for what one module of the web package hands to another. A type says once what it consists of, in
//! [`Wire::wire`]; the encoder and the decoder both follow that.

/// One end of the wire: an encoder appends what a value holds, a decoder replaces it by what was appended.
pub(crate) trait Codec {
    fn number(&mut self, value: &mut u64);

    /// The length of a list, of which every item takes a byte at least.
    fn length(&mut self, value: &mut usize);

    /// Texts are in the order of a network's layers: what one shares with the one before is not repeated.
    fn text(&mut self, value: &mut String);

    /// The bytes, or the value, make no sense: the whole is void.
    fn fail(&mut self);

    /// One of the variants in `all`, by its place there. What is in the variant follows by itself.
    fn variant<T: Copy>(&mut self, value: &mut T, all: &[T]) {
        let same = |v: &T| std::mem::discriminant(v) == std::mem::discriminant(value);
        let Some(place) = all.iter().position(same) else { return self.fail() };
        let mut number = place as u64;
        self.number(&mut number);
        match all.get(number as usize) {
            Some(_) if number == place as u64 => {}
            Some(variant) => *value = *variant,
            None => self.fail(),
        }
    }
}

/// What crosses.
pub(crate) trait Wire {
    /// Some value, for a decoder to replace.
    fn blank() -> Self;

    fn wire<C: Codec>(&mut self, codec: &mut C);
}

/// [`Wire`] of a struct: its fields in turn.
macro_rules! wire_struct {
    ($name:ident { $($field:ident),+ }) => {
        impl $crate::wire::Wire for $name {
            fn blank() -> Self {
                Self { $($field: $crate::wire::Wire::blank()),+ }
            }

            fn wire<C: $crate::wire::Codec>(&mut self, codec: &mut C) {
                $($crate::wire::Wire::wire(&mut self.$field, codec);)+
            }
        }
    };
}

/// [`Wire`] of an enum of plain variants, all of them.
macro_rules! wire_enum {
    ($name:ident { $first:ident $(, $variant:ident)* }) => {
        impl $crate::wire::Wire for $name {
            fn blank() -> Self {
                Self::$first
            }

            fn wire<C: $crate::wire::Codec>(&mut self, codec: &mut C) {
                codec.variant(self, &[Self::$first $(, Self::$variant)*]);
            }
        }
    };
}
pub(crate) use {wire_enum, wire_struct};

/// [`Wire`] of what converts to a number and back.
macro_rules! wire_number {
    ($($type:ty: $to:expr, $from:expr;)+) => {$(
        impl Wire for $type {
            fn blank() -> Self {
                Self::default()
            }

            fn wire<C: Codec>(&mut self, codec: &mut C) {
                let mut number = $to(*self);
                codec.number(&mut number);
                *self = $from(number);
            }
        }
    )+};
}

wire_number! {
    usize: |v| v as u64, |n| n as usize;
    bool: u64::from, |n| n != 0;
    f32: |v: f32| u64::from(v.to_bits()), |n| f32::from_bits(n as u32);
    f64: f64::to_bits, f64::from_bits;
}

impl Wire for String {
    fn blank() -> Self {
        Self::new()
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        codec.text(self);
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn blank() -> Self {
        Self::new()
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        let mut length = self.len();
        codec.length(&mut length);
        self.resize_with(length, T::blank);
        self.iter_mut().for_each(|item| item.wire(codec));
    }
}

impl<T: Wire> Wire for Option<T> {
    fn blank() -> Self {
        None
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        let mut some = self.is_some();
        some.wire(codec);
        if some {
            self.get_or_insert_with(T::blank).wire(codec);
        }
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn blank() -> Self {
        (A::blank(), B::blank())
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        self.0.wire(codec);
        self.1.wire(codec);
    }
}

/// The bytes of a value; `None` where one of its variants is in no list.
pub(crate) fn encode(value: &mut impl Wire) -> Option<Vec<u8>> {
    let mut encoder = encoder::Encoder::default();
    value.wire(&mut encoder);
    encoder.finish()
}

/// The value of these bytes, all of them; `None` where they are not of an [`encode`].
pub(crate) fn decode<T: Wire>(bytes: &[u8]) -> Option<T> {
    let mut decoder = decoder::Decoder::new(bytes);
    let mut value = T::blank();
    value.wire(&mut decoder);
    decoder.is_done().then_some(value)
}

mod encoder {
    use super::Codec;

    #[derive(Default)]
    pub(super) struct Encoder {
        bytes: Vec<u8>,
        last: String,
        failed: bool,
    }

    impl Encoder {
        pub(super) fn finish(self) -> Option<Vec<u8>> {
            (!self.failed).then_some(self.bytes)
        }
    }

    impl Codec for Encoder {
        fn number(&mut self, value: &mut u64) {
            let mut rest = *value;
            while rest > 127 {
                self.bytes.push(rest as u8 | 128);
                rest >>= 7;
            }
            self.bytes.push(rest as u8);
        }

        fn length(&mut self, value: &mut usize) {
            self.number(&mut (*value as u64));
        }

        fn text(&mut self, value: &mut String) {
            let mut shared = value.bytes().zip(self.last.bytes()).take_while(|(a, b)| a == b).count();
            while !value.is_char_boundary(shared) {
                shared -= 1;
            }
            self.number(&mut (shared as u64));
            self.length(&mut (value.len() - shared));
            self.bytes.extend_from_slice(&value.as_bytes()[shared..]);
            self.last.clone_from(value);
        }

        fn fail(&mut self) {
            self.failed = true;
        }
    }
}

mod decoder {
    use super::Codec;

    pub(super) struct Decoder<'a> {
        rest: &'a [u8],
        last: String,
        failed: bool,
    }

    impl<'a> Decoder<'a> {
        pub(super) fn new(rest: &'a [u8]) -> Self {
            Self { rest, last: String::new(), failed: false }
        }

        pub(super) fn is_done(&self) -> bool {
            !self.failed && self.rest.is_empty()
        }
    }

    impl Codec for Decoder<'_> {
        fn number(&mut self, value: &mut u64) {
            *value = 0;
            for shift in (0..64).step_by(7) {
                let Some((&byte, rest)) = self.rest.split_first() else { return self.fail() };
                self.rest = rest;
                *value |= u64::from(byte & 127) << shift;
                if byte < 128 {
                    return;
                }
            }
            self.fail();
        }

        fn length(&mut self, value: &mut usize) {
            let mut number = 0;
            self.number(&mut number);
            *value = number as usize;
            if number > self.rest.len() as u64 {
                *value = 0;
                self.fail();
            }
        }

        fn text(&mut self, value: &mut String) {
            let (mut shared, mut length) = (0, 0);
            self.number(&mut shared);
            self.length(&mut length);
            let (new, rest) = self.rest.split_at(length);
            self.rest = rest;
            match (self.last.get(..shared as usize), str::from_utf8(new)) {
                (Some(shared), Ok(new)) => *value = [shared, new].concat(),
                _ => self.fail(),
            }
            self.last.clone_from(value);
        }

        fn fail(&mut self) {
            self.failed = true;
            self.rest = &[];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use proptest::prelude::*;

    type Tree = Vec<((String, Option<usize>), (f64, (bool, Vec<f32>)))>;

    proptest! {
        #[test]
        fn what_is_written_is_read(values: Tree) {
            let bytes = encode(&mut values.clone()).unwrap();
            // As texts: NaN is like itself, too.
            prop_assert_eq!(format!("{:?}", decode::<Tree>(&bytes)), format!("{:?}", Some(values)));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            decode::<Tree>(&bytes);
        }
    }

    #[test]
    fn texts_share_their_beginnings() {
        let mut names =
            ["blocks.0.conv", "blocks.0.convé", "blocks.0.conv", "blocks.1", "ü", "ö"].map(String::from).to_vec();
        let bytes = encode(&mut names).unwrap();
        assert_eq!(decode::<Vec<String>>(&bytes), Some(names));
        assert_eq!(bytes.len(), 1 + (2 + 13) + (2 + 2) + 2 + (2 + 1) + (2 + 2) + (2 + 2));
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_void() {
        let bytes = encode(&mut vec!["a".to_string(), "ab".to_string()]).unwrap();
        assert!((0..bytes.len()).all(|end| decode::<Vec<String>>(&bytes[..end]).is_none()));
        assert!(decode::<Vec<String>>(&[&bytes[..], &[0]].concat()).is_none());
    }
}
