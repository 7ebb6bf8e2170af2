"""Writes one of timm's networks with seeded random weights in every form that the pages under test load.

    export.py MODEL FOLDER        packages: requirements.txt

weights.safetensors (mbconv), model.onnx (onnxruntime-web), model.tflite (LiteRT.js), layers.json with layers.bin (TF.js:
the ONNX graph as the operations that TF.js fuses), x.f32 (the input, NHWC) and y.f32 (PyTorch's logits for it). The
statistics of the batch norms come from one pass, so that activations stay near unit scale.
"""
import json, pathlib, sys

import litert_torch, numpy, onnx, safetensors.torch, timm, torch

SIDE = 224


def network(name):
    torch.manual_seed(0)
    net = timm.create_model(name).eval()
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        net(torch.randn(8, 3, SIDE, SIDE))
    return net.eval()


class Layers:
    """The operations of an ONNX graph in TF.js's words; weights in its layouts, one behind the other."""

    ACTIVATIONS = {"Relu": "relu", "Clip": "relu6", "Sigmoid": "sigmoid"}

    def __init__(self, graph):
        self.constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        self.same, self.list, self.floats, self.size = {}, [], [], 0
        self.readers = {}
        for name in (name for node in graph.node for name in node.input):
            self.readers[name] = self.readers.get(name, 0) + 1
        for node in graph.node:
            self.add(node)
        self.output = self.name(graph.output[0].name)

    def name(self, value):
        while value in self.same:
            value = self.same[value]
        return value

    def stored(self, array):
        self.floats.append(numpy.ascontiguousarray(array, numpy.float32).ravel())
        self.size += array.size
        return {"start": self.size - array.size, "shape": list(array.shape)}

    def add(self, node):
        facts = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        inputs, output, kind = [self.name(i) for i in node.input], node.output[0], node.op_type
        if kind == "Constant":
            self.constants[output] = onnx.numpy_helper.to_array(facts["value"])
            return
        if kind == "Identity" and inputs[0] in self.constants:
            self.constants[output] = self.constants[inputs[0]]
            return
        if kind in ("Identity", "Flatten"):
            self.same[output] = inputs[0]
            return
        weights = [self.constants[i] for i in inputs if i in self.constants]
        row = {"inputs": [i for i in inputs if i not in self.constants], "output": output}
        if kind == "Conv":
            depthwise = facts["group"] > 1
            order = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
            row |= {"kind": "depthwise" if depthwise else "conv", "filter": self.stored(weights[0].transpose(order)),
                    "bias": self.stored(weights[1]), "stride": facts["strides"][0], "pads": list(facts["pads"])}
        elif kind == "Gemm":
            row |= {"kind": "dense", "filter": self.stored(weights[0].T), "bias": self.stored(weights[1])}
        elif kind in self.ACTIVATIONS:
            last = next((r for r in self.list if r["output"] == inputs[0]), None)
            if last and last["kind"] in ("conv", "depthwise") and self.readers[node.input[0]] == 1:
                last["activation"] = self.ACTIVATIONS[kind]
                self.same[output] = last["output"]
                return
            row["kind"] = self.ACTIVATIONS[kind]
        else:
            row["kind"] = {"Add": "add", "Mul": "mul", "ReduceMean": "mean", "GlobalAveragePool": "mean"}[kind]
        self.list.append(row)


name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
folder.mkdir(parents=True)
net = network(name)
x = torch.randn(1, 3, SIDE, SIDE)
with torch.no_grad():
    net(x).numpy().tofile(folder / "y.f32")
x.permute(0, 2, 3, 1).contiguous().numpy().tofile(folder / "x.f32")
weights = {k: v.contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
safetensors.torch.save_file(weights, folder / "weights.safetensors")
torch.onnx.export(net, x, str(folder / "model.onnx"), opset_version=18, input_names=["x"], output_names=["y"], dynamo=False)
layers = Layers(onnx.load(folder / "model.onnx").graph)
(folder / "layers.json").write_text(json.dumps({"output": layers.output, "layers": layers.list}))
numpy.concatenate(layers.floats).tofile(folder / "layers.bin")
channels_last = litert_torch.to_channel_last_io(net, args=[0])
litert_torch.convert(channels_last, (x.permute(0, 2, 3, 1).contiguous(),)).export(str(folder / "model.tflite"))
