#!/usr/bin/env python3
"""Measures mbconv beside what one would use instead, on one Vulkan adapter, and writes a table and a plot.

    python3 benches/peers/run.py [--rounds N] [--models efficientnet_b0,...]

See the README in this folder. peers.py says who they are, report.py makes the table and the plot. Python's standard library
only; what the peers need is installed into --work.
"""
import argparse, array, datetime, glob, json, os, platform, resource, shutil, struct, subprocess, sys, time
from pathlib import Path

import peers, report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

def lavapipe():
    """The manifest of Mesa's software Vulkan, unless the environment names a driver."""
    for name in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES"):
        if os.environ.get(name):
            return os.environ[name]
    for folder in ("/usr/share", "/usr/local/share", "/etc", "/opt/homebrew/share"):
        for file in sorted(glob.glob(folder + "/vulkan/icd.d/lvp_icd*.json")):
            return file
    sys.exit("no lavapipe found (Debian: mesa-vulkan-drivers); give --icd FILE, or --icd system for the system's own choice")


def counting_layer(args):
    """What makes a process count its dispatches, or None: a small Vulkan layer, for which C and Vulkan's headers are needed."""
    folder = args.work / "layer"
    folder.mkdir(parents=True, exist_ok=True)
    name, functions = "VK_LAYER_MBCONV_count", {f"vk{f}": f"count_{f}" for f in ("GetInstanceProcAddr", "GetDeviceProcAddr")}
    layer = {"name": name, "type": "GLOBAL", "library_path": "./libcount.so", "api_version": "1.3.0", "implementation_version": "1",
             "description": "counts dispatches", "functions": functions}
    (folder / "count.json").write_text(json.dumps({"file_format_version": "1.1.2", "layer": layer}))
    compiler = shutil.which("cc")
    headers = args.work / "vulkan-headers/usr/include"  # where the README has a package unpacked without being installed
    build = [compiler, "-O2", "-shared", "-fPIC", "-I", headers, "-o", folder / "libcount.so", HERE / "count.c"]
    if not compiler or subprocess.run(build, capture_output=True).returncode != 0:
        print("the peers' dispatches are not counted: no C compiler, or no Vulkan headers (Debian: libvulkan-dev)", file=sys.stderr)
        return None
    # Not VK_ICD_FILENAMES, with which ncnn goes around the loader and its layers.
    driver = {} if args.icd == "system" else {"VK_LOADER_DRIVERS_SELECT": os.path.basename(args.icd), "VK_ICD_FILENAMES": None, "VK_DRIVER_FILES": None}
    return driver | {"VK_LAYER_PATH": str(folder), "VK_INSTANCE_LAYERS": name}


def count_dispatches(args, layer, peer, case):
    """Dispatches of one inference: the difference between two runs, or None."""
    seen = []
    for iterations in (2, 6):
        out = cache(args, peer, case) / f"count-{iterations}"
        out.unlink(missing_ok=True)
        r = measure(args, peer, case, 0, iterations, layer | {"COUNT_OUT": str(out)})
        if "error" in r or not out.exists():
            return None
        seen.append(sum(int(line) for line in out.read_text().split()))
    return (seen[1] - seen[0]) // 4


def busy_seconds():
    """What all cores have worked since the start of the system."""
    fields = [int(v) for v in open("/proc/stat").readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def call(command, env, limit):
    """The JSON object that a program prints last, and how many cores others used meanwhile."""
    start, busy, own = time.time(), busy_seconds(), own_seconds()
    try:
        done = subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"error": f"no result in {limit:.0f} s"}
    others = (busy_seconds() - busy - (own_seconds() - own)) / (time.time() - start)
    try:
        return json.loads(done.stdout[done.stdout.index("{"):]) | {"others_cores": round(max(others, 0), 2)}
    except ValueError:
        lines = (done.stdout + done.stderr).strip().splitlines() or [""]
        return {"error": f"exit status {done.returncode}: {lines[-1][:200]}"}


def cache(args, peer, case):
    """The folder for what a program and its driver keep of one network."""
    return args.work / "caches" / f"{case}-{peer}".replace(":", "-batch-")


def measure(args, peer, case, warmup, iterations, variables={}):
    """One run in its own process with its own caches and these further environment variables."""
    kept = str(cache(args, peer, case))
    env = dict(os.environ, MESA_SHADER_CACHE_DIR=kept, XDG_CACHE_HOME=kept, WGPU_BACKEND="vulkan", RTEN_NUM_THREADS=str(os.cpu_count()))
    if args.icd != "system":
        env |= {"VK_ICD_FILENAMES": args.icd, "VK_DRIVER_FILES": args.icd}
    env = {k: v for k, v in (env | variables).items() if v is not None}
    folder = peers.exported(args, case)
    if peer != "mbconv":
        try:
            return call([*peers.command(args, peer, folder), warmup, iterations], env, args.limit)
        except peers.Unavailable as why:
            return {"error": str(why)}
    model, batch, side = case.partition(":")[0], *json.loads((folder / "facts.json").read_text())["shape"][::2]
    network = ["--weights", folder / "weights.safetensors", "--device", args.device, "--json"]
    r = call([args.mbconv, "bench", "--model", model, "--batch", batch, "--resolution", side, "--warmup", warmup, "--iters", iterations, *network],
             env, args.limit)
    if "error" in r:
        return r
    keep = ("version", "adapter", "median_ms", "min_ms", "max_ms", "peak_rss_mb", "dispatches", "others_cores")
    r = {k: r[k] for k in keep} | {"start_ms": r["start"]["ready_ms"]}
    output = cache(args, peer, case) / "y.safetensors"
    ran = call([args.mbconv, "run", "--arch", model, "--input", folder / "input.safetensors", "--output", output, *network], env, args.limit)
    return r | ({"error": ran["error"]} if "error" in ran else {"rel_err": relative_error(output, folder / "y.f32")})


def cold_start(args, layer, peer, case):
    """The first run of a program on a network, with empty caches, and its dispatches where the layer counts them."""
    shutil.rmtree(cache(args, peer, case), ignore_errors=True)
    cache(args, peer, case).mkdir(parents=True)
    r = measure(args, peer, case, 0, 1)
    counts = layer and "error" not in r and not peer.endswith("-cpu")
    return r | ({"counted": count_dispatches(args, layer, peer, case)} if counts else {})


def relative_error(output, reference):
    """Relative L2 distance between the logits of a safetensors file and raw floats."""
    data = output.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    first, last = json.loads(data[8:start])["logits"]["data_offsets"]
    got, want = array.array("f", data[start + first:start + last]), array.array("f", reference.read_bytes())
    assert len(got) == len(want)
    return (sum((g - w) ** 2 for g, w in zip(got, want)) / sum(w * w for w in want)) ** 0.5


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--rounds", type=int, default=3, help="beside the cold start of each program; 0 makes cold starts only")
    ap.add_argument("--models", default="efficientnet_b0,mobilenetv1_100,mobilenetv2_100,mobilenetv3_large_100,efficientnet_b0:8",
                    help="timm's names, each with :BATCH behind it if that is not 1 [default: %(default)s]")
    ap.add_argument("--peers", default=",".join(peers.PEERS), help="[default: %(default)s]")
    ap.add_argument("--add", action="store_true", help="adds rounds to today's results: no second cold start, and what failed is tried again")
    ap.add_argument("--warmup", type=int, default=3)
    ap.add_argument("--iters", type=int, default=10)
    ap.add_argument("--limit", type=float, default=600, help="seconds one run may take")
    ap.add_argument("--icd", help="the Vulkan driver's manifest, or system [default: lavapipe's]")
    ap.add_argument("--device", default="auto", help="mbconv's --device")
    ap.add_argument("--mbconv", type=Path, help="the program [default: built here]")
    ap.add_argument("--work", type=Path, default=ROOT / "target/peers", help="environments, programs, exported models and caches, kept")
    ap.add_argument("--python-torch", help="a Python with " + peers.EXPORTERS)
    ap.add_argument("--python-peers", help="a Python with the peers from PyPI")
    ap.add_argument("--out", type=Path, default=ROOT / "benches/results", help="folder for the results")
    args = ap.parse_args()
    args.cases, args.names = args.models.split(","), args.peers.split(",")
    if unknown := set(args.names) - set(peers.PEERS):
        sys.exit(f"no such peers: {', '.join(sorted(unknown))}")
    args.work = args.work.resolve()
    args.icd = args.icd or lavapipe()
    args.software = "lvp" in os.path.basename(args.icd)
    return args


class Results:
    """Today's rows in their file, after every one of them; with --add behind those that are there."""

    def __init__(self, args, facts):
        self.args, self.facts, self.rows = args, facts, []
        self.file = args.out / f"peers-{facts['date']}.jsonl"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if args.add and self.file.exists():
            before = [json.loads(line) for line in self.file.read_text().splitlines()[1:]]
            self.rows = [r for r in before if not ("error" in r and r["case"] in args.cases and r["peer"] in args.names)]

    def store(self, case, peer, turn, row):
        self.rows.append({"case": case, "peer": peer, "round": turn} | row)
        print(json.dumps(self.rows[-1]), file=sys.stderr, flush=True)
        self.file.write_text("".join(json.dumps(r) + "\n" for r in [self.head(), *self.rows]))

    def head(self):
        """The facts, with the command that makes all these rows at once."""
        cases, names = (",".join(dict.fromkeys(r[key] for r in self.rows)) for key in ("case", "peer"))
        rounds = f"--rounds {max(r['round'] for r in self.rows)} --iters {self.args.iters} --warmup {self.args.warmup}"
        adapter = next((r["adapter"] for r in self.rows if "adapter" in r), "unknown")
        return self.facts | {"adapter": adapter, "command": f"python3 benches/peers/run.py {rounds} --models {cases} --peers {names}"}

    def round(self, case, turn):
        """The peers that have a row of this round of a case, and whether it is one with figures."""
        return {r["peer"]: "error" not in r for r in self.rows if (r["case"], r["round"]) == (case, turn)}


def main():
    args = arguments()
    if built_here := args.mbconv is None:
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
        args.mbconv = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/mbconv"
    try:
        exporter = [json.loads((peers.exported(args, case) / "facts.json").read_text()) for case in args.cases][0]
    except peers.Unavailable as why:
        sys.exit(f"no network to measure: {why}")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    results = Results(args, {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "mbconv": commit if built_here else "a program given with --mbconv",
        "exported with": f"torch {exporter['torch']}, timm {exporter['timm']}",
    })
    layer = counting_layer(args)
    for case in args.cases:
        for peer in args.names:
            if peer not in results.round(case, 0):
                results.store(case, peer, 0, cold_start(args, layer, peer, case))
    for _ in range(args.rounds):
        for case in args.cases:
            turn = 1 + max(r["round"] for r in results.rows if r["case"] == case)
            names = [p for p in args.names if results.round(case, 0)[p]]
            first = turn % max(len(names), 1)
            for peer in names[first:] + names[:first]:
                results.store(case, peer, turn, measure(args, peer, case, args.warmup, args.iters))
    print(report.write(results.file, results.head(), results.rows))


if __name__ == "__main__":
    main()
