"""llama.cpp at one prompt in bf16: llama_cpp_bf16.py MODEL.GGUF PROMPT TOKENS STEPS VOCABULARY.

Through the library's own functions and without its Python sampler, which would slow it down.
"""

import os
import sys

import llama_cpp as cpp
import measured
import numpy as np

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))


def quiet(_level, _text, _data):
    pass


def main(path, prompt, tokens, steps, vocabulary):
    callback = cpp.llama_log_callback(quiet)
    cpp.llama_log_set(callback, None)
    cpp.llama_backend_init()
    model = cpp.llama_model_load_from_file(path.encode(), cpp.llama_model_default_params())
    if not model:
        sys.exit(f"llama.cpp cannot load {path}")
    settings = cpp.llama_context_default_params()
    settings.n_ctx = prompt + tokens
    settings.n_batch = settings.n_ubatch = prompt
    settings.n_threads = settings.n_threads_batch = THREADS
    context = cpp.llama_init_from_model(model, settings)
    if not context:
        sys.exit("llama.cpp made no context")
    memory = cpp.llama_get_memory(context)

    def decode(ids):
        """The likeliest token after these."""
        array = (cpp.llama_token * len(ids))(*ids)
        if cpp.llama_decode(context, cpp.llama_batch_get_one(array, len(ids))) != 0:
            sys.exit("llama_decode failed")
        logits = cpp.llama_get_logits_ith(context, -1)
        return int(np.ctypeslib.as_array(logits, shape=(vocabulary,)).argmax())

    def step(number):
        cpp.llama_memory_clear(memory, True)
        ids = np.random.default_rng(number).integers(0, vocabulary, prompt).tolist()
        token = decode(ids)
        for _ in range(tokens - 1):
            token = decode([token])

    seconds, _ = measured.timed(step, steps)
    features = cpp.llama_print_system_info().decode()
    versions = {"llama-cpp-python": cpp.__version__}
    measured.report(seconds, tokens, versions=versions, features=features)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:6]))
