//! The shaders' texts as programs carry them, since browsers download them: without comments, indentation, blank lines,
//! the spaces that part no words or operators and the ends of lines behind other signs than `;`. Done while the crate
//! compiles, on every target, so that tests see what browsers get.
//! And as compilers get them, without what a key rules out.

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
        if byte == b' ' && at < text.len() && !must_part(last, text[at]) {
            continue;
        }
        if byte == b'\n' && !is_word(last) && last != b';' {
            line_is_empty = true;
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

/// Whether two bytes would mean something else together.
const fn must_part(last: u8, next: u8) -> bool {
    is_word(last) && is_word(next) || is_sign(last) && is_sign(next)
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn is_sign(byte: u8) -> bool {
    matches!(byte, b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'=' | b'&' | b'|' | b'!')
}

/// A short text without the branches that `value`, of the constants it knows, rules out: `if (NAME > 1u) { ... }`, or `==`,
/// where there is no `else`. Compilers would come to the same, SwiftShader's after as much work as all the rest takes.
pub(super) fn without_dead_branches(text: &str, value: &dyn Fn(&str) -> Option<u32>) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = position(rest, "if(") {
        out += &rest[..at];
        rest = &rest[at..];
        match dead_branch(rest, value) {
            Some(end) => rest = &rest[end..],
            None => {
                out += "if(";
                rest = &rest[3..];
            }
        }
    }
    out + rest
}

/// Where the branch that a text begins with ends, if it is dead.
fn dead_branch(text: &str, value: &dyn Fn(&str) -> Option<u32>) -> Option<usize> {
    let condition = &text[3..position(text, "){")?];
    let name = &condition[..condition.bytes().take_while(|&byte| is_word(byte)).count()];
    let compared = condition[name.len()..].strip_suffix('u')?;
    let (value, greater) = (value(name)?, compared.strip_prefix('>'));
    let number = greater.or_else(|| compared.strip_prefix("=="))?.parse().ok()?;
    if value == number && greater.is_none() || value > number && greater.is_some() {
        return None;
    }
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        depth += i32::from(byte == b'{') - i32::from(byte == b'}');
        if byte == b'}' && depth == 0 {
            return Some(at + 1).filter(|&end| !text[end..].starts_with("else"));
        }
    }
    None
}

/// Where the first `what` is. (What the standard library searches with is larger than all of this.)
fn position(text: &str, what: &str) -> Option<usize> {
    text.as_bytes().windows(what.len()).position(|window| window == what.as_bytes())
}

/// The default of a constant that a text declares as a number.
pub(super) fn default(text: &str, name: &str) -> Option<u32> {
    let declaration = ["override ", name, ":u32="].concat();
    let declared = &text[position(text, &declaration)? + declaration.len()..];
    declared[..position(declared, "u;")?].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{default, shorten, without_dead_branches};

    #[test]
    fn dead_branches_go() {
        let value = |name: &str| [("K", 3), ("ROLL", 1)].iter().find(|c| c.0 == name).map(|c| c.1);
        let live = |text: &str| without_dead_branches(text, &value);
        assert_eq!(live("a;if(K>2u){b;if(K>3u){c;}}d;"), "a;if(K>2u){b;}d;");
        assert_eq!(live("if(ROLL==0u){if(x){b;}}if(ROLL==1u){c;}"), "if(ROLL==1u){c;}");
        for text in ["if(K>left){a;}", "if(SETS>1u){a;}", "if(K==1u&&x){a;}", "if(x){a;}", "if(K==1u){a;}else{b;}"] {
            assert_eq!(live(text), text);
        }
    }

    #[test]
    fn defaults_that_are_numbers() {
        let text = "override RANK:u32=2u;\noverride SPAN:u32=K+1u;\n";
        assert_eq!([default(text, "RANK"), default(text, "SPAN"), default(text, "K")], [Some(2), None, None]);
    }

    #[test]
    fn code_stays_and_the_rest_goes() {
        let text = "// what it is\n\n@must_use\nfn f(a: u32) -> u32 {\n    // half\n    let b = a;\n    return b - -2 / 4u; // down\n}\n";
        let want = "@must_use\nfn f(a:u32)->u32{let b=a;\nreturn b- -2/4u;\n}";
        let (short, len) = shorten::<100>(text);
        assert_eq!((str::from_utf8(&short[..len]), shorten::<0>(text).1), (Ok(want), want.len()));
    }
}
