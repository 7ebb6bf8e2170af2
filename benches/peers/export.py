"""Writes one network with seeded random weights in every form that the programs under test read.

    export.py MODEL FOLDER        needs torch, timm, onnx, pnnx, safetensors

weights.safetensors, model.onnx, ncnn/model.ncnn.{param,bin}, the input (input.safetensors, x.f32), PyTorch's output for
it (y.f32), and facts.json. The statistics of the batch norms come from one pass, so that activations stay near unit scale.
"""
import json, os, subprocess, sys

import onnx, safetensors.torch, timm, torch

TIMM_NAMES = {"mobilenet_v1": "mobilenetv1_100", "mobilenet_v2": "mobilenetv2_100", "mobilenet_v3_large": "mobilenetv3_large_100"}

model, folder = sys.argv[1:]
os.makedirs(folder + "/ncnn")
torch.manual_seed(0)
net = timm.create_model(TIMM_NAMES.get(model, model))
shape = (1, *net.default_cfg["input_size"])
for m in net.modules():
    if isinstance(m, torch.nn.BatchNorm2d):
        m.momentum = 1.0
with torch.no_grad():
    net.eval()
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.train()
    net(torch.randn(8, *shape[1:]))
    net.eval()
    x = torch.randn(shape)
    y = net(x)

weights = {k: v.contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
safetensors.torch.save_file(weights, folder + "/weights.safetensors")
safetensors.torch.save_file({"input": x}, folder + "/input.safetensors")
x.numpy().tofile(folder + "/x.f32")
y.numpy().tofile(folder + "/y.f32")
torch.onnx.export(net, x, folder + "/model.onnx", opset_version=18, input_names=["x"], output_names=["y"], dynamo=False)
torch.jit.trace(net, x).save(folder + "/ncnn/model.pt")
pnnx = os.path.join(os.path.dirname(sys.executable), "pnnx")
subprocess.run([pnnx, "model.pt", "inputshape=" + str(list(shape)).replace(" ", ""), "fp16=0"], cwd=folder + "/ncnn", check=True)
json.dump({"shape": shape, "torch": torch.__version__, "timm": timm.__version__, "onnx": onnx.__version__}, open(folder + "/facts.json", "w"))
