"""Measures one peer from PyPI on one exported network and prints one JSON object.

    measure.py PEER FOLDER WARMUP ITERATIONS

PEER is one of ncnn-vulkan, ncnn-cpu, ort-webgpu, ort-cpu, litert-webgpu, litert-cpu, mnn-cpu, openvino-cpu.
Each function below loads the network and returns a function from nothing to the logits, both ends on the host.
"""
import importlib.metadata, json, os, resource, sys, time

import numpy as np

peer, folder, warmup, iterations = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
x = np.fromfile(folder + "/x.f32", np.float32).reshape(json.load(open(folder + "/facts.json"))["shape"])
want = np.fromfile(folder + "/y.f32", np.float32)
threads = len(os.sched_getaffinity(0))


def ncnn(backend):
    import ncnn
    assert backend == "cpu" or ncnn.get_gpu_count() > 0, "ncnn found no Vulkan device and would use the CPU"
    net = ncnn.Net()
    net.opt.use_vulkan_compute = backend == "vulkan"
    net.opt.num_threads = threads
    for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, half, False)
    assert net.load_param(folder + "/ncnn/model.ncnn.param") == 0 and net.load_model(folder + "/ncnn/model.ncnn.bin") == 0

    def image(pixels):
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(pixels))
        return np.array(extractor.extract("out0")[1])
    return lambda: np.stack([image(pixels) for pixels in x])  # ncnn has no batch axis


def ort(backend):
    import onnxruntime
    provider = {"webgpu": "WebGpuExecutionProvider", "cpu": "CPUExecutionProvider"}[backend]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder + "/model.onnx", options, providers=[provider])
    assert session.get_providers()[0] == provider, session.get_providers()
    return lambda: session.run(None, {"x": x})[0]


def litert(backend):
    from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, GpuOptions, HardwareAccelerator, Options
    options = {
        "webgpu": lambda: Options(hardware_accelerators=HardwareAccelerator.GPU, gpu_options=GpuOptions(enforce_f32=True)),
        "cpu": lambda: Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=threads)),
    }[backend]()
    model = CompiledModel.from_file(folder + "/model.tflite", options=options)
    assert model.is_fully_accelerated(), "a part of the network would run on the CPU without its kernels"
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    nhwc = np.ascontiguousarray(x.transpose(0, 2, 3, 1))

    def run():
        inputs[0].write(nhwc)
        model.run_by_index(0, inputs, outputs)
        return outputs[0].read(want.size, np.float32)
    return run


def mnn(backend):
    import MNN
    runtime = MNN.nn.create_runtime_manager(({"backend": backend.upper(), "numThread": threads, "precision": "high"},))
    net = MNN.nn.load_module_from_file(folder + "/model.mnn", ["x"], ["y"], runtime_manager=runtime)

    def run():
        y = net.forward([MNN.expr.const(x, list(x.shape), MNN.expr.NCHW)])[0]
        return MNN.expr.convert(y, MNN.expr.NCHW).read()
    return run


def openvino(backend):
    import openvino
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(folder + "/model.onnx", backend.upper(), options).create_infer_request()
    return lambda: request.infer({0: x})[0].copy()


engine, backend = peer.split("-")
load, package, module = {
    "ncnn": (ncnn, "ncnn", "ncnn"), "ort": (ort, "onnxruntime-webgpu", "onnxruntime"), "mnn": (mnn, "MNN", "MNN"),
    "litert": (litert, "ai-edge-litert", "ai_edge_litert.compiled_model"), "openvino": (openvino, "openvino", "openvino"),
}[engine]
importlib.import_module(module)  # not part of the start
start = time.perf_counter()
run = load(backend)
got = np.array(run()).reshape(-1)
start_ms = 1e3 * (time.perf_counter() - start)
for _ in range(warmup):
    run()
times = []
for _ in range(iterations):
    start = time.perf_counter()
    run()
    times.append(1e3 * (time.perf_counter() - start))
print(json.dumps({
    "version": f"{package} {importlib.metadata.version(package)}", "start_ms": start_ms,
    "median_ms": float(np.median(times)), "min_ms": min(times), "max_ms": max(times),
    "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "rel_err": float(np.linalg.norm(got - want) / np.linalg.norm(want)),
}))
