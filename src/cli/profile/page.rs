//! A profile as one page that needs nothing else.

use super::{Profile, at_best, totals};
use crate::draw::escaped;

const PAGE: &str = include_str!("page.html");

/// The page: a bar for each dispatch, its floor within.
pub fn page(p: &Profile) -> String {
    let longest = p.dispatches.iter().map(|r| r.us.max(r.floor_us)).fold(f64::MIN_POSITIVE, f64::max);
    let width = |us: f64| 100.0 * us / longest;
    let rows = p.dispatches.iter().enumerate().map(|(i, r)| {
        format!(
            "<tr><td>{i}</td><td>{}</td><td class=\"bars\" title=\"{}\"><i class=\"{}\" style=\"width:{:.2}%\"></i>\
             <b style=\"width:{:.2}%\"></b></td><td>{:.1}</td><td>{:.1}</td><td>{:.0} %</td><td>{:.2}</td><td>{:.1}</td></tr>\n",
            escaped(&r.module),
            escaped(&r.kernel),
            escaped(r.kernel.split('.').next().unwrap_or_default()),
            width(r.us),
            width(r.floor_us),
            r.us,
            r.floor_us,
            100.0 * r.floor_us / r.us,
            r.bytes as f64 / 1e6,
            r.madds as f64 / 1e6
        )
    });
    let [n, h, w] = p.input;
    let totals = totals(p).map(|line| escaped(&line)).join("\n");
    PAGE.replace("{title}", &format!("{}, batch {n}, {h}x{w}", escaped(&p.model)))
        .replace("{adapter}", &escaped(&p.adapter))
        .replace("{roofline}", &at_best(&p.roofline))
        .replace("{totals}", &totals)
        .replace("{rows}", &rows.collect::<String>())
}
