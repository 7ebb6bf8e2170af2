//! Writes SVG: elements one after the other, one style sheet for all pictures.

use std::fmt::{Display, Write};

/// Colours by meaning, light and dark (GitHub's own). Strong colours are the same in both.
const STYLE: &str = "\
svg{--ground:#fff;--ink:#1f2328;--faint:#59636e;--line:#d1d9e0;--card:#f6f8fa;\
font:13px -apple-system,'Segoe UI',Helvetica,Arial,sans-serif}\
@media(prefers-color-scheme:dark){svg{--ground:#0d1117;--ink:#f0f6fc;--faint:#9198a1;--line:#3d444d;--card:#151b23}}\
text{fill:var(--ink)}.ground{fill:var(--ground)}.faint{fill:var(--faint);font-size:11px}.title{font-size:15px;font-weight:600}\
.grid{stroke:var(--line);stroke-width:1}.card{fill:var(--card);stroke:var(--line)}\
.wire{stroke:var(--faint);stroke-width:1.5;fill:none}.head{fill:var(--faint)}.halo{paint-order:stroke;stroke:var(--ground);stroke-width:3px}";

/// A picture in the making; lengths are pixels.
pub(super) struct Svg {
    size: [f64; 2],
    style: String,
    body: String,
}

impl Svg {
    pub fn new(width: f64, height: f64, style: &str) -> Self {
        let mut svg = Self { size: [width, height], style: format!("{STYLE}{style}"), body: String::new() };
        svg.element("rect", &[("class", &"ground"), ("width", &width), ("height", &height), ("rx", &8)], None);
        svg
    }

    /// An element with attributes, around a text if there is one.
    pub fn element(&mut self, name: &str, attributes: &[(&str, &dyn Display)], text: Option<&str>) {
        self.body += &format!("<{name}");
        for (attribute, value) in attributes {
            // Writing to a string does not fail.
            let _ = write!(self.body, " {attribute}=\"{}\"", escaped(&value.to_string()));
        }
        self.body += &text.map_or("/>\n".into(), |text| format!(">{}</{name}>\n", escaped(text)));
    }

    /// A text that starts, is centred or ends at `x` (`anchor` is SVG's word for that), on the base line `y`.
    pub fn text(&mut self, [x, y]: [f64; 2], class: &str, anchor: &str, text: &str) {
        let at = [("class", &class as &dyn Display), ("text-anchor", &anchor), ("x", &Px(x)), ("y", &Px(y))];
        self.element("text", &at, Some(text));
    }

    /// A rectangle with rounded corners.
    pub fn rect(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], radius: f64, class: &str) {
        let (x, y, width, height, radius) = (Px(x), Px(y), Px(width), Px(height), Px(radius));
        let size = [("width", &width as &dyn Display), ("height", &height), ("rx", &radius)];
        self.element("rect", &[&[("class", &class as &dyn Display), ("x", &x), ("y", &y)][..], &size].concat(), None);
    }

    /// Straight lines through points, with round corners.
    pub fn line(&mut self, points: &[[f64; 2]], class: &str) {
        const RADIUS: f64 = 6.0;
        let mut path = String::new();
        for (i, &[x, y]) in points.iter().enumerate() {
            let part = match (i.checked_sub(1).map(|before| points[before]), points.get(i + 1)) {
                (None, _) => format!("M{} {}", Px(x), Px(y)),
                (_, None) => format!("L{} {}", Px(x), Px(y)),
                (Some(before), Some(&after)) => {
                    let [a, b] = [before, after].map(|[px, py]| {
                        let length = (px - x).hypot(py - y).max(1e-9);
                        let share = RADIUS.min(length / 2.0) / length;
                        [x + (px - x) * share, y + (py - y) * share]
                    });
                    format!("L{} {}Q{} {} {} {}", Px(a[0]), Px(a[1]), Px(x), Px(y), Px(b[0]), Px(b[1]))
                }
            };
            path += &part;
        }
        self.element("path", &[("class", &class), ("d", &path)], None);
    }

    /// The whole picture. `label` is what a reader hears who does not see it.
    pub fn finish(self, label: &str) -> String {
        let [w, h] = self.size.map(|v| v.ceil());
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" \
             aria-label=\"{}\">\n<style>{}</style>\n{}</svg>\n",
            escaped(label),
            self.style,
            self.body
        )
    }
}

/// A length with at most one decimal, so that pictures do not differ in the last bits of a sum.
pub(super) struct Px(pub f64);

impl Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", (self.0 * 10.0).round() / 10.0)
    }
}

/// Width of a text in this style, near enough to place things beside it.
pub(super) fn text_width(text: &str, font_size: f64) -> f64 {
    text.chars().count() as f64 * font_size * 0.56
}

/// Text that is no markup.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_reserves_is_escaped_and_lengths_are_short() {
        let mut svg = Svg::new(10.0, 20.2, "");
        svg.text([1.0 / 3.0, 2.0], "a", "start", "x < \"y\" & z");
        let text = svg.finish("<&>");
        assert!(text.contains("viewBox=\"0 0 10 21\"") && text.contains("aria-label=\"&lt;&amp;&gt;\""), "{text}");
        assert!(text.contains("x=\"0.3\" y=\"2\">x &lt; &quot;y&quot; &amp; z</text>"), "{text}");
    }
}
