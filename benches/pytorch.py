#!/usr/bin/env python3
"""Measures mbconv beside PyTorch on one machine and writes one table.

    python3 benches/pytorch.py                                  # EfficientNet-B0, batch 1 and 64, on an NVIDIA GPU
    python3 benches/pytorch.py --models efficientnet_b4,mobilenetv2_100 --batches 1,8
    python3 benches/pytorch.py --device cpu --rounds 1          # a check that the command works; its times say nothing

Needed: torch and timm in this Python, cargo (or --mbconv FILE), and for mbconv a Vulkan driver of the same GPU.
PyTorch runs eager, under torch.compile, and as CUDA graphs; in f32 (TF32 off, as mbconv has none) and f16, both in
channels-last order. Every program is measured from the input on the host to the logits on the host, once a round, and
the order turns from round to round. The table goes to benches/results/pytorch-DATE.md, every run to the .jsonl beside it.
"""
import argparse, datetime, json, pathlib, platform, statistics, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODES = ("eager", "compile", "graphs")


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models", default="efficientnet_b0")
    p.add_argument("--batches", default="1,64")
    p.add_argument("--modes", default=",".join(MODES), help="of PyTorch: eager, compile, graphs")
    p.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    p.add_argument("--mbconv-device", default="auto", help="as mbconv's --device")
    p.add_argument("--mbconv", type=pathlib.Path, help="the program [default: built with cargo]")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--iters", type=int, default=50)
    p.add_argument("--out", type=pathlib.Path, default=ROOT / "benches/results")
    return p.parse_args()


def program(args):
    if args.mbconv:
        return args.mbconv
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    meta = subprocess.run(["cargo", "metadata", "--format-version", "1", "--no-deps"], cwd=ROOT, check=True, capture_output=True)
    return pathlib.Path(json.loads(meta.stdout)["target_directory"]) / "release/mbconv"


class Torch:
    """One model in one mode; a run takes milliseconds from host input to host logits."""

    def __init__(self, args, model, batch, mode, dtype):
        import timm, torch

        self.torch, self.cuda = torch, args.device == "cuda"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        number = {"f32": torch.float32, "f16": torch.float16}[dtype]
        net = timm.create_model(model, pretrained=False).eval()
        size = net.pretrained_cfg["input_size"][-1]
        self.net = net.to(args.device, number, memory_format=torch.channels_last)
        self.host = torch.randn(batch, 3, size, size).to(number, memory_format=torch.channels_last)
        self.host = self.host.pin_memory() if self.cuda else self.host
        self.input = self.host.to(args.device)
        call = torch.compile(self.net, mode="max-autotune-no-cudagraphs") if mode == "compile" else self.net
        with torch.inference_mode():
            self.call = self.graph(call) if mode == "graphs" else lambda: call(self.input)
            for _ in range(3):
                self.run()

    def graph(self, call):
        """The network recorded once as a CUDA graph."""
        torch = self.torch
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                call(self.input)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = call(self.input)

        def replay():
            graph.replay()
            return output

        return replay

    def run(self):
        start = time.perf_counter()
        with self.torch.inference_mode():
            self.input.copy_(self.host, non_blocking=True)
            # A copy to the host waits for what it copies.
            self.call().float().cpu()
        return (time.perf_counter() - start) * 1e3

    def median(self, iters):
        return statistics.median(self.run() for _ in range(iters))


def mbconv(args, binary, model, batch, dtype):
    command = [binary, "bench", "--model", model, "--batch", batch, "--dtype", dtype, "--iters", args.iters, "--json"]
    command += ["--device", args.mbconv_device]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}")
    return json.loads(done.stdout)


def measure(args, binary, model, batch):
    """Rows of (program, dtype, its milliseconds by round, or the problem), and mbconv's adapter."""
    programs, problems, adapter = {}, {}, None
    for dtype in ("f32", "f16"):
        programs["mbconv", dtype] = lambda dtype=dtype: mbconv(args, binary, model, batch, dtype)
        for mode in args.modes.split(","):
            key = (f"PyTorch {mode}", dtype)
            try:
                net = Torch(args, model, batch, mode, dtype)
                programs[key] = lambda net=net: {"median_ms": net.median(args.iters)}
            except Exception as error:  # whatever PyTorch says, it goes into the table
                problems[key] = str(error).strip().splitlines()[0][:80]
    times, keys = {key: [] for key in programs}, list(programs)
    for turn in range(args.rounds):
        for key in keys[turn % len(keys):] + keys[: turn % len(keys)]:
            try:
                result = programs[key]()
                adapter = result.get("adapter", adapter)
                times[key].append(result["median_ms"])
            except RuntimeError as error:
                problems[key] = str(error)[:80]
    return times, problems, adapter


def table(model, batch, times, problems):
    lines = [f"\n## {model}, batch {batch}\n", "| program | storage | median ms (min-max) | images a second | x mbconv |", "|---|---|--:|--:|--:|"]
    base = {dtype: statistics.median(ms) for (name, dtype), ms in times.items() if name == "mbconv" and ms}
    for (name, dtype), ms in times.items():
        if ms:
            m = statistics.median(ms)
            ratio = f"{m / base[dtype]:.2f}" if dtype in base else ""
            lines.append(f"| {name} | {dtype} | {m:.3f} ({min(ms):.3f}-{max(ms):.3f}) | {batch / m * 1e3:,.0f} | {ratio} |")
    lines += [f"| {name} | {dtype} | {problem} | | |" for (name, dtype), problem in problems.items()]
    return lines


def main():
    args = parse()
    try:
        import timm, torch
    except ImportError as missing:
        sys.exit(f"this Python has no {missing.name}: python3 -m pip install torch timm")

    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no CUDA device; --device cpu only checks that this command works")
    binary, date = program(args), datetime.date.today().isoformat()
    gpu = torch.cuda.get_device_name() if args.device == "cuda" else platform.processor() or "CPU"
    lines, runs = [], []
    for model in args.models.split(","):
        for batch in map(int, args.batches.split(",")):
            times, problems, adapter = measure(args, binary, model, batch)
            lines += table(model, batch, times, problems)
            runs += [{"model": model, "batch": batch, "program": n, "dtype": d, "ms": ms} for (n, d), ms in times.items()]
    head = [
        f"# mbconv beside PyTorch, {date}\n",
        f"PyTorch {torch.__version__}, timm {timm.__version__} on {gpu}; mbconv on {adapter}.",
        f"`{' '.join(['python3', 'benches/pytorch.py', *sys.argv[1:]])}`",
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"pytorch-{date}.md").write_text("\n".join(head + lines) + "\n")
    (args.out / f"pytorch-{date}.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
    print("\n".join(head + lines))


if __name__ == "__main__":
    main()
