//! The shaders' texts as programs carry them: without comments, indentation, blank lines and the spaces that only part
//! words from signs, since browsers download them. Done while the crate compiles, on every target, so that tests see what browsers get.

/// `wgsl!("conv.wgsl")`: the text of `shaders/conv.wgsl`.
macro_rules! wgsl {
    ($file:literal) => {{
        const TEXT: &str = include_str!(concat!("../../shaders/", $file));
        const LEN: usize = $crate::kernels::text::shorten::<0>(TEXT).1;
        const SHORT: [u8; LEN] = $crate::kernels::text::shorten(TEXT).0;
        match str::from_utf8(&SHORT) {
            Ok(text) => text,
            // While the crate compiles.
            Err(_) => panic!("a comment ends inside of a character"),
        }
    }};
}
pub(super) use wgsl;

/// The first `N` bytes of the short text, and how many there are.
pub(super) const fn shorten<const N: usize>(text: &str) -> ([u8; N], usize) {
    let (text, mut short, mut len) = (text.as_bytes(), [0; N], 0);
    let (mut at, mut line_is_empty, mut last) = (0, true, b'\n');
    while at < text.len() {
        let byte = text[at];
        if byte == b'/' && at + 1 < text.len() && text[at + 1] == b'/' {
            while at < text.len() && text[at] != b'\n' {
                at += 1;
            }
            continue;
        }
        at += 1;
        if line_is_empty && byte.is_ascii_whitespace() {
            continue;
        }
        if byte == b' ' && at < text.len() && is_word(last) != is_word(text[at]) {
            continue;
        }
        last = byte;
        if len < N {
            short[len] = byte;
        }
        len += 1;
        line_is_empty = byte == b'\n';
    }
    (short, len)
}

/// Whether two of them would run together.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn code_stays_and_the_rest_goes() {
        let text = "// what it is\n\nfn f(a: u32) -> u32 {\n    // half\n    return a - -2 / 4u; // rounds down\n}\n";
        let want = "fn f(a:u32) ->u32{\nreturn a- -2/4u; \n}\n";
        let (short, len) = shorten::<100>(text);
        assert_eq!((str::from_utf8(&short[..len]), shorten::<0>(text).1), (Ok(want), want.len()));
    }
}
