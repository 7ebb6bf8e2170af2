#!/usr/bin/env python3
"""Measures every registered model beside EfficientNet-B0, for the time column of the README's table.

    python3 benches/zoo.py                                       # all of them; the largest take seconds an inference
    python3 benches/zoo.py --models mobilenetv2_100,mnasnet_b1   # these; the others keep what was measured before
    scripts/docs.sh                                              # puts the result into the README

Each run is a process of its own, and each run of a model stands between two of EfficientNet-B0: a slow minute of the machine
falls on both. A model's figure is the median over the rounds of its median time divided by the mean of the two beside
it. The adapter is lavapipe, Mesa's software Vulkan, unless VK_ICD_FILENAMES or --icd name another. Python's standard
library only.
"""
import argparse, datetime, json, os, pathlib, statistics, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches/peers"))
from run import call, lavapipe, machine

BASELINE = "efficientnet_b0"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--models", help="names [default: all but the tf_ forms of others]")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--iters", type=int, default=20, help="inferences a run, fewer where they take over --budget together")
    ap.add_argument("--budget", type=float, default=5, help="seconds a run may measure")
    ap.add_argument("--limit", type=float, default=600, help="seconds a run may take")
    ap.add_argument("--icd", help="the Vulkan driver's manifest, or system [default: lavapipe's]")
    ap.add_argument("--device", default="auto", help="mbconv's --device")
    ap.add_argument("--mbconv", type=pathlib.Path, help="the program [default: built with cargo]")
    ap.add_argument("--out", type=pathlib.Path, default=ROOT / "benches/results/zoo.json")
    args = ap.parse_args()
    icd = args.icd or lavapipe()
    driver = {} if icd == "system" else {"VK_ICD_FILENAMES": icd, "VK_DRIVER_FILES": icd}
    env = dict(os.environ, WGPU_BACKEND="vulkan") | driver

    mbconv = args.mbconv
    if not mbconv:
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
        mbconv = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/mbconv"
    registered = [m["name"] for m in json.loads(subprocess.run([mbconv, "models", "--json"], capture_output=True, check=True).stdout)]
    twins = {"tf_" + name for name in registered}
    names = args.models.split(",") if args.models else [n for n in registered if n not in twins]
    if unknown := set(names) - set(registered):
        sys.exit(f"not registered: {', '.join(sorted(unknown))}; see mbconv models")

    def bench(model, iters):
        r = call([mbconv, "bench", "--model", model, "--device", args.device, "--warmup", 2 if iters > 1 else 0, "--iters", iters, "--json"],
                 env, args.limit)
        if "error" in r:
            sys.exit(f"{model}: {r['error']}")
        return r

    adapter, busiest, measured = None, 0.0, {}
    for i, model in enumerate(names):
        # The first run also fills the shader cache.
        once = bench(model, 1)["median_ms"] / 1e3
        iters = max(3, min(args.iters, int(args.budget / once)))
        runs = [bench(BASELINE, args.iters)]
        for _ in range(args.rounds):
            runs += [bench(model, iters), bench(BASELINE, args.iters)]
        ms = [r["median_ms"] for r in runs]
        ratios = [ms[k] / statistics.mean((ms[k - 1], ms[k + 1])) for k in range(1, len(ms), 2)]
        measured[model] = round(statistics.median(ratios), 4)
        adapter, busiest = runs[0]["adapter"], max(busiest, *(r["others_cores"] for r in runs))
        print(f"{i + 1}/{len(names)} {model}: {measured[model]:.3f} of {BASELINE} (rounds {min(ratios):.3f} to {max(ratios):.3f}), "
              f"{statistics.median(ms[1::2]):.1f} ms, others' cores up to {busiest}", file=sys.stderr, flush=True)

    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    facts = {"machine": machine(), "adapter": adapter, "baseline": BASELINE, "others_cores": busiest}
    before = json.loads(args.out.read_text()) if args.models and args.out.exists() else {"runs": [], "ratios": {}}
    run = {"date": datetime.date.today().isoformat(), "command": "python3 " + " ".join(sys.argv), "mbconv": commit} | facts
    ratios = {name: ratio for name, ratio in (before["ratios"] | measured).items() if name in registered}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({"runs": [*before["runs"], run], "ratios": ratios}, indent=2) + "\n")


main()
