"""The programs that run.py measures: a row each, how it is installed, and the command that measures it."""
import dataclasses, functools, json, os, shutil, subprocess, sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXPORTERS = "torch timm onnx pnnx MNN safetensors litert-torch"


class Unavailable(Exception):
    """Why a peer cannot be measured here; the table says it."""


@dataclasses.dataclass
class Peer:
    label: str
    package: str = ""  # on PyPI, measured by python/measure.py
    crate: str = ""  # in rust/, measured by its own program
    form: str = ""  # the file of an exported network that it reads
    model: bool = False  # whether its program is built for one network


# What ends in -cpu runs on the CPU, the others on the Vulkan adapter.
PEERS = {
    "mbconv": Peer("mbconv, WGSL through wgpu", form="weights.safetensors"),
    "ncnn-vulkan": Peer("ncnn, Vulkan", package="ncnn", form="ncnn/model.ncnn.bin"),
    "ort-webgpu": Peer("onnxruntime, WebGPU", package="onnxruntime-webgpu", form="model.onnx"),
    "litert-webgpu": Peer("LiteRT, WebGPU", package="ai-edge-litert", form="model.tflite"),
    "burn-wgpu": Peer("burn, WGSL through wgpu", crate="burn", form="model.onnx", model=True),
    "ort-cpu": Peer("onnxruntime, CPU", package="onnxruntime-webgpu", form="model.onnx"),
    "litert-cpu": Peer("LiteRT, CPU (XNNPACK)", package="ai-edge-litert", form="model.tflite"),
    "openvino-cpu": Peer("OpenVINO, CPU", package="openvino", form="model.onnx"),
    "ncnn-cpu": Peer("ncnn, CPU", package="ncnn", form="ncnn/model.ncnn.bin"),
    "mnn-cpu": Peer("MNN, CPU", package="MNN", form="model.mnn"),
    "tract-cpu": Peer("tract, CPU", crate="tract", form="model.onnx"),
    "rten-cpu": Peer("rten, CPU", crate="rten", form="model.onnx"),
}


def command(args, name, folder):
    """The command that measures a peer on an exported network, without its last two words: warm-up and timed runs."""
    peer = PEERS[name]
    if not (folder / peer.form).exists():
        why = json.loads((folder / "facts.json").read_text()).get("failed", {})
        raise Unavailable(f"no {peer.form}: {why.get(peer.form, 'another version exported it; remove ' + str(folder))}")
    if peer.crate:
        return [program(args.work, peer.crate, folder if peer.model else None, not args.software), folder]
    python = args.python_peers or with_package(args.work / "peers", peer.package)
    return [python, HERE / "python/measure.py", name, folder]


def venv(path):
    """The Python of a virtual environment, made when it is not there."""
    if not (path / "bin/pip").exists():
        run([sys.executable, "-m", "venv", "--clear", path])
    return path / "bin/python"


@functools.cache
def with_package(path, packages):
    """The Python of an environment into which these packages were installed."""
    python = venv(path)
    print(f"installing {packages} into {path}", file=sys.stderr)
    run([python, "-m", "pip", "install", "--quiet", *packages.split(), "numpy"])
    return python


@functools.cache
def program(work, crate, folder, tuner):
    """A Rust peer's program, built here; for one network, whose weights go into its folder, where `folder` is given."""
    features = ["--features", "burn-peer/autotune"] if crate == "burn" and tuner else []
    kept = folder and folder / (crate + "-autotune" * bool(features))
    if kept and kept.exists():
        return kept
    # --workspace: the same features of common dependencies for all of them, so that none is built twice.
    print(f"building {crate}" + (f" for {folder.name}" if folder else ""), file=sys.stderr)
    run(["cargo", "build", "--release", "--locked", "--manifest-path", HERE / "rust/Cargo.toml", "--target-dir", work / "rust",
         "--workspace", "--bin", crate + "-peer", *features], env=dict(os.environ, MODEL=str(folder)))
    built = work / f"rust/release/{crate}-peer"
    return Path(shutil.copy(built, kept)) if kept else built


def run(command, **options):
    """Runs a command of an installation; its last line of output says why it failed."""
    try:
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    except OSError as error:
        raise Unavailable(f"not installed: {error}") from error
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
        lines = [line for line in done.stdout.splitlines() if "error" in line.lower()] or done.stdout.splitlines() or ["?"]
        raise Unavailable(f"not installed: {lines[0].strip()[:200]}")


def exported(args, case):
    """The folder with the network of a case, MODEL or MODEL:BATCH, in every form, made once."""
    model, _, batch = case.partition(":")
    folder = args.work / "models" / (f"{model}-batch-{batch}" if batch else model)
    if not folder.exists():
        python = args.python_torch or with_package(args.work / "torch", EXPORTERS)
        print(f"exporting {case}", file=sys.stderr)
        new = folder.with_name(folder.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        run([python, HERE / "export.py", model, batch or 1, new])
        new.rename(folder)
    return folder
