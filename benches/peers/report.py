"""What run.py measured, as a table in Markdown and as a plot of the ratios in SVG."""
import html, math, statistics

from peers import PEERS


def write(file, facts, rows):
    """Writes the report beside the file of the rows and returns its text."""
    cases = list(dict.fromkeys(r["case"] for r in rows))
    results = {case: [r for r in (result(rows, case, peer) for peer in PEERS) if r] for case in cases}
    text = "# Peers, side by side\n\n" + "\n".join(f"- {k}: {v}" for k, v in facts.items())
    text += f"\n\n![Median time over mbconv's]({file.with_suffix('.svg').name})\n\n"
    text += "\n\n".join(table(case, results[case]) for case in cases)
    text += "\n\nTimes in ms unless marked s; what the columns mean is in benches/peers/README.md.\n"
    file.with_suffix(".md").write_text(text)
    file.with_suffix(".svg").write_text(plot(results))
    return text


def title(case):
    model, _, batch = case.partition(":")
    return f"{model}, batch {batch or 1}"


def result(rows, case, peer):
    """One program's figures on one case, or why there are none; None where it was not asked."""
    mine = [r for r in rows if (r["case"], r["peer"]) == (case, peer)]
    failed = [r["error"] for r in mine if "error" in r]
    cold, warm = [r for r in mine if r["round"] == 0], [r for r in mine if r["round"] > 0]
    if failed or not warm:
        return {"peer": peer, "failed": failed[0] if failed else "not measured"} if mine else None
    ours = [r["median_ms"] for r in rows if (r["case"], r["peer"]) == (case, "mbconv") and r["round"] > 0 and "error" not in r]
    median = statistics.median(r["median_ms"] for r in warm)
    return {
        "peer": peer, "version": warm[0]["version"], "median": median, "min": min(r["min_ms"] for r in warm), "max": max(r["max_ms"] for r in warm),
        "ratio": median / statistics.median(ours) if ours else None,
        "cold": cold[0]["start_ms"], "start": statistics.median(r["start_ms"] for r in warm), "memory": max(r["peak_rss_mb"] for r in mine),
        "dispatches": cold[0].get("counted") or cold[0].get("dispatches"),
        "error": max(r["rel_err"] for r in mine), "others": max(r["others_cores"] for r in mine),
    }


def ms(v):
    return f"{v / 1e3:.1f} s" if v >= 9999 else f"{v:.0f}" if v >= 100 else f"{v:.1f}"


def ratio(v):
    return "-" if v is None else f"{v:.2f}" if v < 9.995 else f"{v:.1f}"


def table(case, results):
    """The programs on the adapter, then those on the CPU, the fastest first; those without figures last of each."""
    lines = []
    for r in sorted(results, key=lambda r: (r["peer"].endswith("-cpu"), r.get("median", math.inf))):
        label = PEERS[r["peer"]].label
        if "failed" in r:
            lines.append(f"| {label} | failed: {r['failed'].replace('|', '/')} |" + " |" * 8)
            continue
        cells = [label, r["version"], f"{ms(r['median'])} ({ms(r['min'])}-{ms(r['max'])})", ratio(r["ratio"]), ms(r["cold"]), ms(r["start"]),
                 f"{r['memory']:.0f}", r["dispatches"] or "-", f"{r['error']:.0e}", f"{r['others']:.1f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([
        f"### {title(case)}\n",
        "| program | version | median ms (min-max) | x mbconv | start cold | start warm | peak RSS MiB | dispatches | rel. error | others' cores |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|", *lines])


STYLE = (
    "svg{--ground:#fff;--ink:#1f2328;--faint:#59636e;--line:#d1d9e0;font:12px -apple-system,'Segoe UI',Helvetica,Arial,sans-serif}"
    "@media(prefers-color-scheme:dark){svg{--ground:#0d1117;--ink:#f0f6fc;--faint:#9198a1;--line:#3d444d}}"
    "text{fill:var(--ink)}.ground{fill:var(--ground)}.faint{fill:var(--faint)}.line{stroke:var(--line)}.one{stroke:var(--faint)}"
    ".title{font-weight:600}.gpu{fill:#3b82f6}.cpu{fill:#a16207}")
LEFT, PANEL, TOP, ROW = 180, 162, 70, 22


def plot(results):
    """A panel for each case, a bar for each program from 1 (mbconv's time) to its ratio, on a logarithmic axis."""
    names = [p for p in PEERS if p != "mbconv" and any(r["peer"] == p for rs in results.values() for r in rs)]
    logs = [0, *(math.log10(r["ratio"]) for rs in results.values() for r in rs if r.get("ratio"))]
    axis = math.floor(2 * min(logs)) / 2, math.ceil(2 * max(logs)) / 2
    width, height = max(LEFT + PANEL * len(results) + 8, 560), TOP + ROW * len(names) + 28
    labels = [f'<text x="12" y="{TOP + ROW * i + 15}">{html.escape(PEERS[name].label)}</text>' for i, name in enumerate(names)]
    panels = [panel(LEFT + PANEL * i, axis, names, title(case), results[case]) for i, case in enumerate(results)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        'aria-label="Median time of each program over that of mbconv">',
        f"<style>{STYLE}</style>", f'<rect class="ground" width="{width}" height="{height}" rx="8"/>',
        '<text class="title" x="12" y="22">Median time over mbconv\'s: to the right of 1 slower than mbconv, to the left faster</text>',
        '<text class="faint" x="12" y="46"><tspan class="gpu">■</tspan> Vulkan adapter  <tspan class="cpu">■</tspan> CPU</text>',
        *labels, *(line for lines in panels for line in lines), "</svg>\n"])


def panel(left, axis, names, heading, results):
    """The lines of one case. `axis`: the logarithms of the ratios at its ends."""
    low, high = axis
    bottom, by_name = TOP + ROW * len(names), {r["peer"]: r for r in results}

    def at(v):
        return left + 28 + (PANEL - 56) * (math.log10(v) - low) / ((high - low) or 1)  # 28: room for a figure

    for text, kind, y in zip(heading.split(", "), ("title", "faint"), (46, 61)):
        yield f'<text class="{kind}" x="{left + PANEL / 2}" y="{y}" text-anchor="middle">{html.escape(text)}</text>'
    for power in range(math.ceil(low), math.floor(high) + 1):
        x = at(10**power)
        yield f'<line class="{"one" if power == 0 else "line"}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
        yield f'<text class="faint" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{10.0**power:g}</text>'
    for i, name in enumerate(names):
        v, y = by_name.get(name, {}).get("ratio"), TOP + ROW * i
        if v:
            kind, (first, last) = "cpu" if name.endswith("-cpu") else "gpu", sorted((at(1), at(v)))
            end, anchor = (last + 3, "start") if v >= 1 else (first - 3, "end")
            yield f'<rect class="{kind}" x="{first:.1f}" y="{y + 4}" width="{max(last - first, 1):.1f}" height="{ROW - 8}" rx="2"/>'
            yield f'<text x="{end:.1f}" y="{y + 15}" text-anchor="{anchor}">{ratio(v)}</text>'
        elif name in by_name:
            yield f'<text class="faint" x="{at(1) + 4:.1f}" y="{y + 15}">failed</text>'
