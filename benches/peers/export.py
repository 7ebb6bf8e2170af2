"""Writes one network with seeded random weights in every form that the programs under test read.

    export.py MODEL BATCH FOLDER        packages: see EXPORTERS in peers.py

weights.safetensors, the input (input.safetensors, x.f32: N, C, H, W), PyTorch's output for it (y.f32), and each form of
FORMS. facts.json says the input's shape, versions, and of the forms that could not be written why. The statistics of the
batch norms come from one pass, so that activations stay near unit scale.
"""
import json, os, subprocess, sys

import safetensors.torch, timm, torch


def onnx(net, x, folder):
    torch.onnx.export(net, x, folder + "/model.onnx", opset_version=18, input_names=["x"], output_names=["y"], dynamo=False)


def ncnn(net, x, folder):
    os.makedirs(folder + "/ncnn")
    torch.jit.trace(net, x[:1]).save(folder + "/ncnn/model.pt")  # ncnn has no batch axis
    tool("pnnx", "model.pt", "inputshape=" + str(list(x[:1].shape)).replace(" ", ""), "fp16=0", cwd=folder + "/ncnn")


def mnn(net, x, folder):
    tool("mnnconvert", "-f", "ONNX", "--modelFile", "model.onnx", "--MNNModel", "model.mnn", "--bizCode", "peers", cwd=folder)


def tflite(net, x, folder):
    import litert_torch
    channels_last = litert_torch.to_channel_last_io(net, args=[0])
    litert_torch.convert(channels_last, (x.permute(0, 2, 3, 1).contiguous(),)).export(folder + "/model.tflite")


def tool(name, *args, cwd):
    """Runs a program of the same environment."""
    subprocess.run([os.path.join(os.path.dirname(sys.executable), name), *args], cwd=cwd, check=True, stdout=sys.stderr)


FORMS = {"model.onnx": onnx, "model.mnn": mnn, "ncnn/model.ncnn.bin": ncnn, "model.tflite": tflite}

model, batch, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
os.makedirs(folder)
torch.manual_seed(0)
net = timm.create_model(model)
shape = (batch, *net.default_cfg["input_size"])
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
failed = {}
for form, write in FORMS.items():
    try:
        write(net, x, folder)
    except Exception as error:
        failed[form] = f"{type(error).__name__}: {error}"
facts = {"shape": shape, "torch": torch.__version__, "timm": timm.__version__, "failed": failed}
json.dump(facts, open(folder + "/facts.json", "w"))
