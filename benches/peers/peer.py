"""Measures one peer on one exported network and prints one JSON object.

    peer.py ncnn-vulkan|ort-webgpu|ort-cpu|ncnn-cpu FOLDER WARMUP ITERATIONS
"""
import json, os, resource, sys, time

import numpy as np

peer, folder, warmup, iterations = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
x = np.fromfile(folder + "/x.f32", np.float32).reshape(json.load(open(folder + "/facts.json"))["shape"])
threads = len(os.sched_getaffinity(0))


def ncnn(vulkan):
    import ncnn
    start = time.perf_counter()
    net = ncnn.Net()
    net.opt.use_vulkan_compute = vulkan
    net.opt.num_threads = threads
    for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, half, False)
    assert net.load_param(folder + "/ncnn/model.ncnn.param") == 0 and net.load_model(folder + "/ncnn/model.ncnn.bin") == 0

    def run():
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(x[0]))
        return np.array(extractor.extract("out0")[1])
    return start, run, "ncnn " + ncnn.__version__


def ort(provider):
    import onnxruntime
    start = time.perf_counter()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder + "/model.onnx", options, providers=[provider])
    assert session.get_providers()[0] == provider, session.get_providers()
    return start, lambda: session.run(None, {"x": x})[0], "onnxruntime " + onnxruntime.__version__


start, run, version = {
    "ncnn-vulkan": lambda: ncnn(True), "ncnn-cpu": lambda: ncnn(False),
    "ort-webgpu": lambda: ort("WebGpuExecutionProvider"), "ort-cpu": lambda: ort("CPUExecutionProvider"),
}[peer]()
got, want = run().reshape(-1), np.fromfile(folder + "/y.f32", np.float32)
start_ms = 1e3 * (time.perf_counter() - start)
for _ in range(warmup):
    run()
times = []
for _ in range(iterations):
    start = time.perf_counter()
    run()
    times.append(1e3 * (time.perf_counter() - start))
print(json.dumps({
    "version": version, "start_ms": start_ms, "median_ms": float(np.median(times)), "min_ms": min(times), "max_ms": max(times),
    "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "rel_err": float(np.linalg.norm(got - want) / np.linalg.norm(want)),
}))
