#!/usr/bin/env python3
"""Trains nanoGPT's GPU configuration by train_lm on a CUDA device, as often as the time allows. scripts/gpu-check runs it.

6 layers, 6 heads, width 384, context 256, batch 64, dropout 0.2, 5000 steps in bfloat16 (learning rate 1e-3 down to 1e-4, 100
steps of warm-up, beta2 0.99: train_lm's defaults). After each 250 steps: the loss over the whole validation part and, of plain
weights, nanoGPT's own estimate, 200 random batches of it. The least of a run counts, as nanoGPT keeps its best checkpoint.

In turn, each where its estimate fits in what is left of --seconds: PyTorch's step, seed 1 plain, seed 1 at 3 bits, seeds 2 and 3
plain. Times are estimated from short runs of both kinds and printed. What was left out, and why, is in OUT/stage.json; a rerun
trains that alone: reports in OUT that are newer than train_lm, and of the same text, are kept.

The losses are those of nanoGPT's text, tinyshakespeare: named by --text, or data/tinyshakespeare.txt below one of --shared.
Without it step times are measured on the project's own documents, and nothing is trained.
"""
import argparse
import glob
import hashlib
import json
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STEPS, EVAL_EVERY, EVAL_BATCHES, BATCH, CONTEXT = 5000, 250, 200, 64, 256
CONFIGURATION = ["--device", "cuda", "--device-memory", "16GiB", "--dtype", "bf16", "--layers", "6", "--heads", "6", "--width", "384",
                 "--context", str(CONTEXT), "--batch", str(BATCH), "--dropout", "0.2", "--steps", str(STEPS), "--lr", "1e-3",
                 "--min-lr", "1e-4", "--warmup", "100"]
# What a job adds; nanoGPT's estimate is of plain weights alone.
KINDS = {"plain": ["--bits", "32"], "dkm": ["--bits", "3"]}
ESTIMATES = {"plain": EVAL_BATCHES, "dkm": 0}
JOBS = (("plain", 1), ("dkm", 1), ("plain", 2), ("plain", 3))
SHORT_STEPS, SHORT_BATCHES = 60, 20
MARGIN = 1.05  # of an estimate
TINYSHAKESPEARE_BYTES = 1_115_394


class Failed(Exception):
    """A program that did not do what it should; the text says which and why."""


def name_of(kind, seed):
    return f"{kind}_seed{seed}"


def own_text(folder):
    """The project's documents and headers in one file, without what is not ASCII."""
    path = os.path.join(folder, "own_text.txt")
    parts = []
    for pattern in ("*.md", "docs/**/*.md", "include/**/*.h", "src/**/*.h"):
        for file in sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True)):
            with open(file, encoding="utf-8", errors="ignore") as opened:
                parts.append("".join(c for c in opened.read() if c == "\n" or " " <= c <= "~"))
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(parts))
    return path


def digest(path):
    """Of a file's bytes: copied again, it is the same text."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def find_text(a):
    """The path of nanoGPT's text, or None. Failed where one is named and is not there."""
    if a.text:
        if not os.path.isfile(a.text):
            raise Failed(f"--text {a.text}: no such file; it is to be tinyshakespeare.txt")
        return a.text
    for folder in a.shared:
        path = os.path.join(folder, "data/tinyshakespeare.txt")
        if os.path.isfile(path):
            return path
    return None


def validation_batches(text):
    """Of all windows of the validation part, by characters as train_lm counts them."""
    with open(text, encoding="utf-8") as file:
        characters = len(file.read())
    windows = (characters - characters * 9 // 10 - 1) // CONTEXT
    return (windows + BATCH - 1) // BATCH


class Stage:
    def __init__(self, a):
        self.a = a
        self.begin = time.monotonic()
        self.text = find_text(a)
        self.said = {"text": self.text, "is_tinyshakespeare": bool(self.text) and os.path.getsize(self.text) == TINYSHAKESPEARE_BYTES,
                     "seconds": a.seconds, "short": {}, "jobs": []}

    def left(self):
        return self.a.seconds - (time.monotonic() - self.begin)

    def path(self, name):
        return os.path.join(self.a.out, f"{name}.json")

    def write(self):
        with open(self.path("stage"), "w", encoding="utf-8") as file:
            json.dump(self.said, file, indent=1)
            file.write("\n")

    def run(self, name, command, output=None):
        """What a program says goes to NAME.log. Failed where it fails or is not done in what is left."""
        log_path = os.path.join(self.a.out, f"{name}.log")
        with open(log_path, "w", encoding="utf-8") as log, open(output or os.devnull, "w", encoding="utf-8") as out:
            try:
                status = subprocess.run(command, stdout=out, stderr=log, timeout=max(1, self.left())).returncode
            except subprocess.TimeoutExpired:
                raise Failed(f"{name} was stopped: it would have taken longer than what was left of {self.a.seconds:.0f} s") from None
        if status != 0:
            with open(log_path, encoding="utf-8", errors="replace") as log:
                said = log.read().strip().splitlines()
            raise Failed(f"{name} failed with {status}: {said[-1] if said else 'it said nothing'}")

    def train(self, name, text, more):
        """Trains, and gives the report, which is in place only where all went well."""
        part = self.path(name) + ".part"
        self.run(name, [self.a.train_lm, "--data", text, *CONFIGURATION, "--report", part, *more])
        os.replace(part, self.path(name))
        with open(self.path(name), encoding="utf-8") as file:
            return json.load(file)

    def measure_torch(self):
        if os.path.exists(self.path("pytorch_train")):
            os.remove(self.path("pytorch_train"))
        if subprocess.run([sys.executable, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"],
                          capture_output=True).returncode != 0:
            print("python3 has no PyTorch with CUDA: its step is left out")
            return
        part = self.path("pytorch_train") + ".part"
        self.run("pytorch_train", [sys.executable, os.path.join(ROOT, "bench/cuda/pytorch_train.py")], part)
        os.replace(part, self.path("pytorch_train"))

    def measure_short(self, kind, text):
        """Start-up, a step and a batch of an evaluation, from a short run."""
        begin = time.monotonic()
        report = self.train(f"short_{kind}", text, [*KINDS[kind], "--stop-at", str(SHORT_STEPS), "--eval-every", str(SHORT_STEPS),
                                                    "--eval-batches", str(SHORT_BATCHES)])
        took = time.monotonic() - begin
        step = report["step_ms_median"] / 1e3
        evaluation = report["evaluations"]["all"][0]["ms"] / 1e3
        batch = evaluation / (validation_batches(text) + SHORT_BATCHES)
        self.said["short"][kind] = {"step_ms": 1e3 * step, "evaluation_batch_ms": 1e3 * batch,
                                    "start_s": max(0.0, took - SHORT_STEPS * step - evaluation)}
        print(f"{kind}: {1e3 * step:.2f} ms a step, {1e3 * batch:.2f} ms a batch of an evaluation, "
              f"{self.said['short'][kind]['start_s']:.1f} s to start", flush=True)

    def estimate(self, kind):
        short = self.said["short"][kind]
        batches = STEPS // EVAL_EVERY * (validation_batches(self.text) + ESTIMATES[kind])
        return MARGIN * (short["start_s"] + (STEPS * short["step_ms"] + batches * short["evaluation_batch_ms"]) / 1e3)

    def is_kept(self, name):
        path, of_text = self.path(name), self.path(name) + ".text"
        if not os.path.exists(path) or not os.path.exists(of_text) or os.path.getmtime(path) <= os.path.getmtime(self.a.train_lm):
            return False
        with open(of_text, encoding="ascii") as file:
            return file.read() == digest(self.text)

    def do(self, kind, seed):
        name = name_of(kind, seed)
        job = {"name": name, "estimated_s": self.estimate(kind), "state": "failed", "why": None}
        self.said["jobs"].append(job)
        if self.is_kept(name):
            job.update(state="kept", why="trained before, by this train_lm")
        elif job["estimated_s"] > self.left():
            job.update(state="left out", why=f"takes {job['estimated_s']:.0f} s of the {max(0, self.left()):.0f} s that were left; "
                                             "run --stage train again for it")
        else:
            print(f"{name}: about {job['estimated_s']:.0f} s, {self.left():.0f} s are left", flush=True)
            begin = time.monotonic()
            more = [*KINDS[kind], "--seed", str(seed), "--eval-every", str(EVAL_EVERY)]
            if ESTIMATES[kind]:
                more += ["--eval-batches", str(ESTIMATES[kind])]
            try:
                report = self.train(name, self.text, more)
            except Failed as failed:
                job["why"] = str(failed)
                raise
            with open(self.path(name) + ".text", "w", encoding="ascii") as file:
                file.write(digest(self.text))
            job.update(state="done", why=None, took_s=time.monotonic() - begin)
            least = report["evaluations"]
            print(f"{name}: {job['took_s']:.0f} s, least val_loss {least['least_val_loss']:.4f}" +
                  (f", least estimate {least['least_estimate']:.4f}" if least["least_estimate"] is not None else ""), flush=True)
            return
        print(f"{name}: {job['state']}: {job['why']}", flush=True)


def work(a):
    """Everything that fits. The failures, in words."""
    stage = Stage(a)
    failures = []

    def attempt(body, *arguments):
        try:
            body(*arguments)
            return True
        except Failed as failed:
            failures.append(str(failed))
            print(f"train_nanogpt: {failed}", file=sys.stderr, flush=True)
            return False
        finally:
            stage.write()

    attempt(stage.measure_torch)
    if stage.text is None:
        text = own_text(a.out)
        print(f"no tinyshakespeare.txt in {' or '.join(a.shared)}: step times alone, on the project's own documents")
    else:
        text = stage.text
    able = {kind: attempt(stage.measure_short, kind, text) for kind in KINDS}
    for kind, seed in JOBS:
        if stage.text is not None and able[kind]:
            attempt(stage.do, kind, seed)
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train-lm", required=True)
    parser.add_argument("--out", required=True, help="the folder for reports")
    parser.add_argument("--seconds", type=float, default=440, help="that all of it may take")
    parser.add_argument("--text", help="tinyshakespeare.txt")
    parser.add_argument("--shared", action="append", default=[], help="a folder with data/tinyshakespeare.txt, perhaps")
    a = parser.parse_args()
    if not os.access(a.train_lm, os.X_OK):
        sys.exit(f"train_nanogpt: --train-lm {a.train_lm}: no such program; scripts/gpu-check --stage build makes it")
    os.makedirs(a.out, exist_ok=True)
    try:
        failures = work(a)
    except (Failed, OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"train_nanogpt: {error if isinstance(error, (Failed, OSError)) else repr(error)}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
