#!/usr/bin/env python3
"""Measures mbconv beside what one would use instead, on one Vulkan adapter, and writes one table.

    python3 benches/peers/run.py [--rounds N] [--models efficientnet_b0,...]

See the README in this folder. Python's standard library only; what the peers need is installed into --work.
"""
import argparse, array, datetime, glob, json, os, pathlib, platform, resource, shutil, statistics, struct, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = {
    "mbconv": "mbconv, WGSL through wgpu",
    "ncnn-vulkan": "ncnn, Vulkan",
    "ort-webgpu": "onnxruntime, WebGPU",
    "ort-cpu": "onnxruntime, CPU (for information)",
    "ncnn-cpu": "ncnn, CPU (for information)",
}


def venv(path, packages):
    """The Python of a virtual environment with these packages, made when it is not there."""
    python = path / "bin/python"
    if not (path / "ready").exists():
        print(f"installing {packages} into {path}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", path], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages.split()], check=True)
        (path / "ready").touch()
    return python


def exported(args, model):
    """The folder with one model in every format, made once."""
    folder = args.work / "models" / model
    if not folder.exists():
        python = args.python_torch or venv(args.work / "torch", "torch timm onnx pnnx safetensors")
        print(f"exporting {model}", file=sys.stderr)
        new = folder.with_name(model + ".new")
        shutil.rmtree(new, ignore_errors=True)
        subprocess.run([python, HERE / "export.py", model, new], check=True, stdout=sys.stderr)
        new.rename(folder)
    return folder


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
    build = [compiler, "-O2", "-shared", "-fPIC", "-o", folder / "libcount.so", HERE / "count.c"]
    if not compiler or subprocess.run(build, capture_output=True).returncode != 0:
        print("dispatches are not counted: no C compiler, or no Vulkan headers (Debian: libvulkan-dev)", file=sys.stderr)
        return None
    # Not VK_ICD_FILENAMES, with which ncnn goes around the loader and its layers.
    driver = {} if args.icd == "system" else {"VK_LOADER_DRIVERS_SELECT": os.path.basename(args.icd), "VK_ICD_FILENAMES": None, "VK_DRIVER_FILES": None}
    return driver | {"VK_LAYER_PATH": str(folder), "VK_INSTANCE_LAYERS": name}


def count_dispatches(args, layer, peer, folder, model, cache):
    """Dispatches of one inference: the difference between two runs."""
    seen = []
    for iterations in (2, 6):
        out = pathlib.Path(cache) / f"count-{iterations}"
        r = measure(args, peer, folder, model, cache, 0, iterations, layer | {"COUNT_OUT": str(out)})
        if "error" in r or not out.exists():
            return None
        seen.append(int(out.read_text().split()[0]))
    return (seen[1] - seen[0]) / 4


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


def measure(args, peer, folder, model, cache, warmup, iterations, variables={}):
    """One run in its own process with this shader cache and these further environment variables."""
    env = dict(os.environ, MESA_SHADER_CACHE_DIR=cache, XDG_CACHE_HOME=cache, WGPU_BACKEND="vulkan")
    if args.icd != "system":
        env |= {"VK_ICD_FILENAMES": args.icd, "VK_DRIVER_FILES": args.icd}
    env = {k: v for k, v in (env | variables).items() if v is not None}
    if peer != "mbconv":
        return call([args.python_peers, HERE / "peer.py", peer, folder, warmup, iterations], env, args.limit)
    network = ["--weights", folder / "weights.safetensors", "--device", args.device, "--json"]
    side = json.load(open(folder / "facts.json"))["shape"][2]
    r = call([args.mbconv, "bench", "--model", model, "--resolution", side, "--warmup", warmup, "--iters", iterations, *network],
             env, args.limit)
    if "error" in r:
        return r
    keep = ("version", "adapter", "median_ms", "min_ms", "max_ms", "peak_rss_mb", "dispatches", "others_cores")
    r = {k: r[k] for k in keep} | {"start_ms": r["start"]["ready_ms"]}
    output = pathlib.Path(cache) / "y.safetensors"
    ran = call([args.mbconv, "run", "--arch", model, "--input", folder / "input.safetensors", "--output", output, *network], env, args.limit)
    return r | ({"error": ran["error"]} if "error" in ran else {"rel_err": relative_error(output, folder / "y.f32")})


def relative_error(output, reference):
    """Relative L2 distance between the logits of a safetensors file and raw floats."""
    data = output.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    first, last = json.loads(data[8:start])["logits"]["data_offsets"]
    got, want = array.array("f", data[start + first:start + last]), array.array("f", reference.read_bytes())
    assert len(got) == len(want)
    return (sum((g - w) ** 2 for g, w in zip(got, want)) / sum(w * w for w in want)) ** 0.5


def ms(v):
    return "-" if v is None else f"{v / 1e3:.1f} s" if v >= 9999 else f"{v:.0f}" if v >= 100 else f"{v:.1f}"


def table(rows, model):
    """Markdown, the fastest first."""
    rows = [r for r in rows if r["model"] == model]
    base = statistics.median([r["median_ms"] for r in rows if r["peer"] == "mbconv" and r["round"] > 0 and "error" not in r] or [float("nan")])
    lines = []
    for peer in dict.fromkeys(r["peer"] for r in rows):
        mine = [r for r in rows if r["peer"] == peer]
        failed = [r["error"] for r in mine if "error" in r]
        if failed:
            lines.append((float("inf"), f"| {PEERS[peer]} | failed: {failed[0]} |" + " |" * 8))
            continue
        cold, warm = [r["start_ms"] for r in mine if r["round"] == 0], [r for r in mine if r["round"] > 0]
        median = statistics.median(r["median_ms"] for r in warm)
        cells = [
            PEERS[peer], warm[0]["version"],
            f"{ms(median)} ({ms(min(r['min_ms'] for r in warm))}-{ms(max(r['max_ms'] for r in warm))})", f"{median / base:.2f}",
            ms(cold[0]), ms(statistics.median(r["start_ms"] for r in warm)), f"{max(r['peak_rss_mb'] for r in mine):.0f}",
            f"{warm[-1].get('counted') or warm[-1].get('dispatches') or '-'}".removesuffix(".0"), f"{max(r['rel_err'] for r in warm):.0e}", f"{max(r['others_cores'] for r in warm):.1f}",
        ]
        lines.append((median, "| " + " | ".join(cells) + " |"))
    return "\n".join([
        f"### {model}, batch 1\n",
        "| program | version | median ms (min-max) | x mbconv | start cold | start warm | peak RSS MiB | dispatches | rel. error | others' cores |",
        "|---|---|---|---|---|---|---|---|---|---|", *[line for _, line in sorted(lines)]])


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--models", default="efficientnet_b0")
    ap.add_argument("--peers", default="mbconv,ncnn-vulkan,ort-webgpu,ort-cpu", help="of " + ", ".join(PEERS))
    ap.add_argument("--warmup", type=int, default=3)
    ap.add_argument("--iters", type=int, default=10)
    ap.add_argument("--limit", type=float, default=600, help="seconds one run may take")
    ap.add_argument("--icd", help="the Vulkan driver's manifest, or system [default: lavapipe's]")
    ap.add_argument("--device", default="auto", help="mbconv's --device")
    ap.add_argument("--mbconv", type=pathlib.Path, help="the program [default: built here]")
    ap.add_argument("--work", type=pathlib.Path, default=ROOT / "target/peers", help="environments and exported models, kept")
    ap.add_argument("--python-torch", help="a Python with torch timm onnx pnnx safetensors")
    ap.add_argument("--python-peers", help="a Python with ncnn onnxruntime-webgpu numpy")
    ap.add_argument("--out", type=pathlib.Path, default=ROOT / "benches/results", help="folder for the results")
    args = ap.parse_args()
    args.work = args.work.resolve()
    args.icd = args.icd or lavapipe()
    args.python_peers = args.python_peers or venv(args.work / "peers", "ncnn onnxruntime-webgpu numpy")
    built_here = args.mbconv is None
    if built_here:
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
        args.mbconv = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/mbconv"

    models, rows, order = args.models.split(","), [], args.peers.split(",")
    folders = {m: exported(args, m) for m in models}
    with tempfile.TemporaryDirectory() as caches:
        # Round 0 starts every program once with an empty cache; the others find what it left.
        for turn in range(args.rounds + 1):
            for model in models:
                for peer in order:
                    cache = f"{caches}/{model}-{peer}"
                    os.makedirs(cache, exist_ok=True)
                    count = (args.warmup, args.iters) if turn else (0, 1)
                    row = {"model": model, "peer": peer, "round": turn} | measure(args, peer, folders[model], model, cache, *count)
                    rows.append(row)
                    print(json.dumps(row), file=sys.stderr, flush=True)
            order = order[1:] + order[:1]
        layer = counting_layer(args)
        for row in rows[-len(models) * len(order):] if layer else []:
            if "error" not in row and not row["peer"].endswith("cpu"):
                model, peer = row["model"], row["peer"]
                row["counted"] = count_dispatches(args, layer, peer, folders[model], model, f"{caches}/{model}-{peer}")

    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    facts = {
        "date": datetime.date.today().isoformat(),
        "command": f"python3 benches/peers/run.py --rounds {args.rounds} --iters {args.iters} --warmup {args.warmup} --models {args.models} --peers {args.peers}",
        "machine": machine(),
        "adapter": next((r["adapter"] for r in rows if "adapter" in r), "unknown"),
        "mbconv": commit if built_here else "a program given with --mbconv",
        "exported with": ", ".join(f"{k} {v}" for k, v in json.load(open(folders[models[0]] / "facts.json")).items() if k != "shape"),
    }
    text = "# Peers, side by side\n\n" + "\n".join(f"- {k}: {v}" for k, v in facts.items())
    text += "\n\n" + "\n\n".join(table(rows, m) for m in models) + "\n"
    text += "\nTimes in ms unless marked s; what the columns mean is in benches/peers/README.md.\n"
    args.out.mkdir(parents=True, exist_ok=True)
    name = "peers-" + facts["date"]
    (args.out / (name + ".md")).write_text(text)
    (args.out / (name + ".jsonl")).write_text("".join(json.dumps(r) + "\n" for r in [facts, *rows]))
    print(text)


if __name__ == "__main__":
    main()
