//! Points in a plane with a logarithmic x axis, one colour and mark a series, labelled.

use super::svg::{Px, Svg, text_width};

/// A picture of labelled points.
#[derive(Clone, Debug)]
pub struct Scatter<'a> {
    /// Above the picture.
    pub title: &'a str,
    /// What x is.
    pub x: &'a str,
    /// What y is.
    pub y: &'a str,
    /// The points.
    pub series: Vec<Series>,
}

/// Points of one colour and mark.
#[derive(Clone, Debug)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// Label, x (positive), y.
    pub points: Vec<(String, f64, f64)>,
}

const SIZE: [f64; 2] = [1000.0, 680.0];
/// Margins of the plane: left, top, right, bottom.
const MARGIN: [f64; 4] = [56.0, 48.0, 20.0, 52.0];
const LABEL: f64 = 10.5;
const COLOURS: [&str; 12] = [
    "#3b82f6", "#f97316", "#16a34a", "#ef4444", "#a855f7", "#0d9488", "#db2777", "#a16207", "#06b6d4", "#84cc16",
    "#6366f1", "#64748b",
];
/// Marks of about one area, as SVG paths around 0 0.
const MARKS: [&str; 5] = [
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z",
    "M-4 -4H4V4H-4Z",
    "M0 -5.5L5.2 3.8H-5.2Z",
    "M0 -5.8L5.8 0L0 5.8L-5.8 0Z",
    "M0 5.5L5.2 -3.8H-5.2Z",
];

type Rect = [f64; 4];

impl Scatter<'_> {
    /// The picture as SVG. Where points are too dense for all labels, some have none.
    pub fn svg(&self) -> String {
        let style: String = COLOURS.iter().enumerate().map(|(i, c)| format!(".c{i}{{fill:{c};stroke:{c}}}")).collect();
        let style = format!(
            "{style}.trend{{fill:none;stroke-opacity:.35;stroke-width:2}}.mark{{stroke:var(--ground)}}.label{{font-size:{LABEL}px}}"
        );
        let mut svg = Svg::new(SIZE[0], SIZE[1], &style);
        let plane = Plane::around(self.series.iter().flat_map(|s| &s.points));
        svg.text([MARGIN[0], 28.0], "title", "start", self.title);
        plane.axes(&mut svg, self.x, self.y);
        for (i, series) in self.series.iter().enumerate() {
            let trend: Vec<[f64; 2]> = improving(series).iter().map(|p| plane.at(p.1, p.2)).collect();
            svg.line(&trend, &format!("trend c{}", i % COLOURS.len()));
        }
        for (i, series) in self.series.iter().enumerate() {
            for point in &series.points {
                mark(&mut svg, i, plane.at(point.1, point.2));
            }
        }
        let legend = self.legend(&mut svg);
        self.labels(&mut svg, &plane, legend);
        let names: Vec<&str> = self.series.iter().map(|s| s.name.as_str()).collect();
        svg.finish(&format!("{}: {} against {} of {}", self.title, self.y, self.x, names.join(", ")))
    }

    /// In the lower right corner, where nothing good is.
    fn legend(&self, svg: &mut Svg) -> Rect {
        let width = 32.0 + self.series.iter().map(|s| text_width(&s.name, 13.0)).fold(0.0, f64::max);
        let height = 20.0 * self.series.len() as f64 + 10.0;
        let [left, top] = [SIZE[0] - MARGIN[2] - width - 12.0, SIZE[1] - MARGIN[3] - height - 12.0];
        svg.rect([left, top], [width, height], 6.0, "card");
        for (i, series) in self.series.iter().enumerate() {
            let y = top + 15.0 + 20.0 * i as f64;
            mark(svg, i, [left + 14.0, y]);
            svg.text([left + 26.0, y + 4.5], "", "start", &series.name);
        }
        [left, top, left + width, top + height]
    }

    /// Each label at the first free place around its point.
    fn labels(&self, svg: &mut Svg, plane: &Plane, legend: Rect) {
        let points = || self.series.iter().flat_map(|s| &s.points);
        let mut taken = vec![legend];
        for (_, x, y) in points() {
            let [x, y] = plane.at(*x, *y);
            taken.push([x - 5.0, y - 5.0, x + 5.0, y + 5.0]);
        }
        for (label, x, y) in points() {
            let [x, y] = plane.at(*x, *y);
            let width = text_width(label, LABEL);
            let beside = [("start", 8.0, 4.0), ("end", -8.0, 4.0), ("middle", 0.0, -8.0), ("middle", 0.0, 15.0)];
            let corners = [("start", 6.0, -5.0), ("end", -6.0, -5.0), ("start", 6.0, 12.0), ("end", -6.0, 12.0)];
            let further = [("middle", 0.0, -19.0), ("middle", 0.0, 26.0)];
            let place = beside.iter().chain(&corners).chain(&further).find_map(|&(anchor, dx, dy)| {
                let left =
                    x + dx - width * [("start", 0.0), ("middle", 0.5), ("end", 1.0)].iter().find(|a| a.0 == anchor)?.1;
                let rect = [left, y + dy - LABEL * 0.8, left + width, y + dy + 1.5];
                let inside = rect[0] > MARGIN[0] && rect[2] < SIZE[0] - MARGIN[2] && rect[1] > MARGIN[1];
                (inside && !taken.iter().any(|t| overlap(t, &rect))).then_some((anchor, [x + dx, y + dy], rect))
            });
            if let Some((anchor, at, rect)) = place {
                svg.text(at, "label halo", anchor, label);
                taken.push(rect);
            }
        }
    }
}

/// The points that are better than all with a smaller x: what a line should go through.
fn improving(series: &Series) -> Vec<&(String, f64, f64)> {
    let mut points: Vec<_> = series.points.iter().collect();
    points.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut best = f64::NEG_INFINITY;
    points.retain(|p| {
        let better = p.2 > best;
        best = best.max(p.2);
        better
    });
    points
}

fn mark(svg: &mut Svg, series: usize, [x, y]: [f64; 2]) {
    let class = format!("mark c{}", series % COLOURS.len());
    let place = format!("translate({} {})", Px(x), Px(y));
    svg.element("path", &[("class", &class), ("transform", &place), ("d", &MARKS[series % MARKS.len()])], None);
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

/// The ranges of both axes: x in steps of 1, 2, 5, y in steps of 5.
struct Plane {
    x: [f64; 2],
    y: [f64; 2],
}

impl Plane {
    fn around<'a>(points: impl Iterator<Item = &'a (String, f64, f64)>) -> Self {
        let (mut x, mut y) = ([f64::MAX, f64::MIN], [f64::MAX, f64::MIN]);
        for (_, px, py) in points {
            x = [x[0].min(*px), x[1].max(*px)];
            y = [y[0].min(*py), y[1].max(*py)];
        }
        Self { x: [x[0] / 1.3, x[1] * 1.3], y: [(y[0] / 5.0).floor() * 5.0, (y[1] / 5.0).ceil() * 5.0] }
    }

    fn at(&self, x: f64, y: f64) -> [f64; 2] {
        let [left, top, right, bottom] = MARGIN;
        let share = (x / self.x[0]).ln() / (self.x[1] / self.x[0]).ln();
        let rise = (y - self.y[0]) / (self.y[1] - self.y[0]).max(1e-9);
        [left + share * (SIZE[0] - left - right), SIZE[1] - bottom - rise * (SIZE[1] - top - bottom)]
    }

    fn axes(&self, svg: &mut Svg, x_label: &str, y_label: &str) {
        let [left, top, right, bottom] = MARGIN;
        let decades = (0..=9).flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10_f64.powi(e)));
        for x in decades.filter(|x| (self.x[0]..=self.x[1]).contains(x)) {
            let [px, _] = self.at(x, self.y[0]);
            svg.line(&[[px, top], [px, SIZE[1] - bottom]], "grid");
            svg.text([px, SIZE[1] - bottom + 17.0], "faint", "middle", &x.to_string());
        }
        let mut y = self.y[0];
        while y <= self.y[1] {
            let [_, py] = self.at(self.x[0], y);
            svg.line(&[[left, py], [SIZE[0] - right, py]], "grid");
            svg.text([left - 8.0, py + 4.0], "faint", "end", &y.to_string());
            y += 5.0;
        }
        svg.text([(left + SIZE[0] - right) / 2.0, SIZE[1] - 14.0], "", "middle", x_label);
        let (x, y) = (18.0, (top + SIZE[1] - bottom) / 2.0);
        let turned = format!("translate({x} {y}) rotate(-90)");
        svg.element("text", &[("text-anchor", &"middle"), ("transform", &turned)], Some(y_label));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_through_what_improves() {
        let point = |x: f64, y: f64| (format!("{x}"), x, y);
        let series = Series { name: "s".into(), points: vec![point(3.0, 7.0), point(1.0, 5.0), point(2.0, 4.0)] };
        assert_eq!(improving(&series), [&point(1.0, 5.0), &point(3.0, 7.0)]);
    }

    #[test]
    fn labels_do_not_lie_on_each_other() {
        let points = (0..40).map(|i| (format!("p{i}"), 100.0 + f64::from(i) * 0.01, 70.0)).collect();
        let series = vec![Series { name: "dense".into(), points }];
        let svg = Scatter { title: "t", x: "x", y: "y", series }.svg();
        let labels = svg.matches("label halo").count();
        assert!((1..20).contains(&labels), "{labels} labels");
    }
}
