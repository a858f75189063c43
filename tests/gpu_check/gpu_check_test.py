#!/usr/bin/env python3
"""scripts/gpu-check without a GPU: what it says of wrong arguments and missing parts, how it runs a stage, ends one that takes
too long and tells skipped tests, and what bench/cuda/figures.py makes of measurements. Fakes stand for nvidia-smi, nvcc and
compute-sanitizer; the scripts run in a copy of themselves, so that nothing of a build is touched."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench/cuda"))
import figures  # noqa: E402
import pytorch_replay  # noqa: E402

NVIDIA_SMI = """
case "$*" in
  *compute_cap,*) echo "NVIDIA Fake, 580.1, 1000, 9.0, 345, 1980, 3201, 3202" ;;
  *compute_cap*) echo 9.0 ;;
  *memory.total*) echo 81559 ;;
  *) echo "NVIDIA Fake" ;;
esac
"""
NVCC = 'echo "Cuda compilation tools, release 13.0, V13.0.1"'
TOOLS = ("bash", "env", "dirname", "sed", "grep", "tee", "timeout", "nproc", "mkdir", "rm", "mv", "cat", "sleep", "tail", "tr", "ls",
         "cut", "head", "find", "git", "kill", "test")


class GpuCheck(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.tree = os.path.join(self.folder, "tree")
        os.makedirs(os.path.join(self.tree, "build/cuda"))
        for part in ("scripts", "bench/cuda"):
            shutil.copytree(os.path.join(ROOT, part), os.path.join(self.tree, part))
        self.bin = os.path.join(self.folder, "bin")
        os.mkdir(self.bin)
        for tool in TOOLS:
            if shutil.which(tool):
                os.symlink(shutil.which(tool), os.path.join(self.bin, tool))
        os.symlink(sys.executable, os.path.join(self.bin, "python3"))

    def fake(self, name, body, folder=None):
        path = os.path.join(folder or self.bin, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!{shutil.which('bash')}\n{body}\n")
        os.chmod(path, 0o755)
        return path

    def tests(self, *lines):
        with open(os.path.join(self.tree, "build/cuda/gpu_tests.txt"), "w", encoding="utf-8") as file:
            file.writelines("\t".join(line) + "\n" for line in lines)

    def run_check(self, *arguments, **more):
        environment = {"PATH": self.bin, "HOME": self.folder, "CUDACXX": os.path.join(self.bin, "nvcc"), **more}
        return subprocess.run([os.path.join(self.tree, "scripts/gpu-check"), *arguments], env=environment, cwd=self.folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200)

    def expect(self, done, status, *texts):
        self.assertEqual(done.returncode, status, done.stdout)
        for text in texts:
            self.assertIn(text, done.stdout)

    def test_arguments_that_mean_nothing_are_named(self):
        self.expect(self.run_check("--stage", "tests"), 2, "unknown stage 'tests': expected one of build test sanitize bench train")
        self.expect(self.run_check("--stages"), 2, "unknown argument '--stages'")
        self.expect(self.run_check("--limit=soon"), 2, "--limit 'soon': expected seconds")
        self.expect(self.run_check("--help"), 0, "--packages FOLDER", "77 the machine lacks something")

    def test_what_the_machine_lacks_is_told_before_anything_is_done(self):
        done = self.run_check("--packages", "nowhere")
        self.expect(done, 77, "nothing was done", "  nvcc: ", "  cmake: ", "  ninja: ", "  an NVIDIA GPU and its driver: ",
                    "  compute-sanitizer: ", f"  packages in {self.folder}/nowhere: make the folder with scripts/gpu-packages")
        self.assertNotIn("==> ", done.stdout)
        self.expect(self.run_check("--stage", "test"), 77, "run scripts/gpu-check --stage build first")

    def test_packages_replace_no_folder_that_is_not_theirs(self):
        def make(*arguments):
            return subprocess.run([os.path.join(self.tree, "scripts/gpu-packages"), *arguments], cwd=self.folder,
                                  env={"PATH": self.bin}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)

        self.expect(make(), 1, "no folder named")
        self.expect(make("--all"), 1, "unknown argument '--all'")
        self.expect(make("bin"), 1, "bin exists and was not made by this script")
        self.expect(make("new"), 1, "no apt-get on this system")
        self.assertEqual(len(os.listdir(self.bin)), len([tool for tool in TOOLS if shutil.which(tool)]) + 1)

    def test_a_stage_runs_what_the_build_lists(self):
        self.fake("nvidia-smi", NVIDIA_SMI)
        passes = self.fake("passes", 'echo "$TIERLIB_TEST_DEVICE $*"; echo "[  PASSED  ] 3 tests."', self.folder)
        self.tests((passes, "*/Cuda*", ""), (passes, "*", "TIERLIB_TEST_DEVICE=cuda_managed"))
        self.expect(self.run_check("--stage", "test"), 0, "--gtest_filter=*/Cuda*", "cuda_managed --gtest_filter=*", "stage test: ",
                    "passed")

    def test_a_test_that_finds_no_gpu_or_runs_nothing_fails(self):
        self.fake("nvidia-smi", NVIDIA_SMI)
        skips = self.fake("skips", 'echo "no CUDA device on this machine"; echo "[  PASSED  ] 1 test."', self.folder)
        self.tests((skips, "*", ""))
        self.expect(self.run_check("--stage", "test"), 1, "skips found no CUDA device", "FAILED")
        runs_nothing = self.fake("runs_nothing", 'echo "[  PASSED  ] 0 tests."', self.folder)
        self.tests((runs_nothing, "Nothing*", ""))
        self.expect(self.run_check("--stage", "test"), 1, "ran no test: is its filter 'Nothing*' right?")

    def test_a_stage_that_takes_too_long_is_stopped(self):
        self.fake("nvidia-smi", NVIDIA_SMI)
        self.tests((self.fake("hangs", "sleep 50", self.folder), "*", ""))
        begin = time.monotonic()
        self.expect(self.run_check("--stage", "test", "--limit", "1"), 1,
                    "stage test was stopped: it would have taken longer than its limit of 1 s")
        self.assertLess(time.monotonic() - begin, 30)

    def test_all_sanitizers_run_without_pools_and_their_findings_are_shown(self):
        self.fake("nvidia-smi", NVIDIA_SMI)
        self.fake("nvcc", NVCC)
        body = 'echo "pools $TIERLIB_NO_POOLS $*"; echo "ERROR SUMMARY: 0 errors"'
        self.fake("compute-sanitizer", body)
        self.tests((self.fake("program", "", self.folder), "*", ""), ("/none", "*", "TIERLIB_TEST_DEVICE=cuda_managed"))
        self.expect(self.run_check("--stage", "sanitize"), 0, *(f"{tool}: 1 programs without errors" for tool in
                                                                ("memcheck", "racecheck", "initcheck", "synccheck")))
        with open(os.path.join(self.tree, "build/cuda/gpu_check/memcheck.log"), encoding="utf-8") as file:
            self.assertIn("pools 1 --tool memcheck --error-exitcode 9", file.read())
        self.fake("compute-sanitizer", body + '; [[ $* != *racecheck* ]] || { echo "a hazard"; exit 9; }')
        self.expect(self.run_check("--stage", "sanitize"), 1, "racecheck failed", "a hazard")

    def test_figures_are_in_the_table(self):
        self.fake("nvidia-smi", NVIDIA_SMI)
        self.fake("nvcc", NVCC)
        for name in ("copies", "allocations", "steps", "dkm"):
            self.fake(f"{name}_cuda_bench", f"cat {self.folder}/{name}.json", os.path.join(self.tree, "build/cuda/bench"))
            with open(os.path.join(self.folder, f"{name}.json"), "w", encoding="utf-8") as file:
                json.dump({"benchmarks": MEASURED[name]}, file)
        self.fake("make_trace", 'echo made >"$1"', os.path.join(self.tree, "build/cuda/bench"))
        self.fake("tierlib-trace", '[[ "$*" = "export "*" --format rmm-csv -o "* ]]', os.path.join(self.tree, "build/cuda/tools/trace_viewer"))
        self.fake("ablation", f'[[ "$*" = "--device cuda --json" ]] && cat {self.folder}/ablation.json',
                  os.path.join(self.tree, "build/cuda/bench"))
        with open(os.path.join(self.folder, "ablation.json"), "w", encoding="utf-8") as file:
            json.dump(ABLATION, file)
        self.fake("tierlib-replay", 'echo \'{"peak": {"reserved": 1000}}\'', os.path.join(self.tree, "build/cuda/tools/replay"))
        self.tests()
        done = self.run_check("--stage", "bench")
        self.expect(done, 0, "NVIDIA Fake, driver 580.1, CUDA 13.0, PyTorch None")
        with open(os.path.join(self.tree, "build/cuda/gpu_check.json"), encoding="utf-8") as file:
            document = json.load(file)
        self.assertEqual(document["machine"]["clocks"]["sm_clock_most_mhz"], "1980")
        by_name = {figure["name"]: figure for figure in document["figures"]}
        self.assertEqual(len(by_name), len(figures.FIGURES))
        for name, value, kept in (
                ("pinned copy to the host through the runtime", 98.0, True),
                ("pinned copy to the device through the runtime", 96.0, False),
                ("step with all saved values on the host (compute: device copies)", 1.02, True),
                ("overlap of its transfers", 90.0, False),
                ("exact DKM, bf16, k = 8, T = 3, 4096 x 4096", 2.0, True),
                ("allocate + free, pool", 120.0, True),
                ("allocate + retire, verbs", 900.0, None),
                ("the ablation's five rows with 8 learners, the worst of them", 1.0, True),
                ("its exact row, without offload", 0.25, True),
                ("trace on against off, nothing moves", 0.4, True)):
            self.assertAlmostEqual(by_name[name]["value"], value, msg=name)
            self.assertEqual(by_name[name]["kept"], kept, name)
        # What was not measured is null, and says why.
        self.assertIn("TorchReplay", by_name["reserved for a training trace"]["missing"])
        self.assertIsNone(by_name["pinned copies in both directions at once"]["value"])
        self.assertEqual(by_name["pinned copies in both directions at once"]["missing"],
                         "EngineCopies/direction:2: a copy failed")
        # The table is the last thing, a line for each figure.
        lines = done.stdout.strip().splitlines()[-len(figures.FIGURES):]
        for line, figure in zip(lines, document["figures"]):
            self.assertTrue(line.startswith(figure["name"]), line)
        self.assertIn("MISSED", lines[1])
        self.assertEqual(by_name["a step of it, bf16"]["missing"], "stage train was not run")
        # A row that failed is told, and the others stay.
        with open(os.path.join(self.folder, "ablation.json"), "w", encoding="utf-8") as file:
            json.dump({**ABLATION, "rows": ABLATION["rows"][:-1] + [{"name": "exact", "error": "INTERNAL: a word"}]}, file)
        self.fake("ablation", f"cat {self.folder}/ablation.json; exit 1", os.path.join(self.tree, "build/cuda/bench"))
        self.expect(self.run_check("--stage", "bench"), 1, "ablation failed with 1")
        with open(os.path.join(self.tree, "build/cuda/gpu_check.json"), encoding="utf-8") as file:
            by_name = {figure["name"]: figure for figure in json.load(file)["figures"]}
        self.assertEqual(by_name["its exact row, without offload"]["missing"], "the ablation's row exact: INTERNAL: a word")
        self.assertEqual(by_name["the ablation's five rows with 8 learners, the worst of them"]["value"], 1.0)
        # 8 learners' managed memory is not asked of a small card.
        self.fake("nvidia-smi", NVIDIA_SMI.replace("81559", "16384"))
        self.expect(self.run_check("--stage", "bench"), 0, "the card has less than 40 GiB")
        with open(os.path.join(self.tree, "build/cuda/gpu_check.json"), encoding="utf-8") as file:
            by_name = {figure["name"]: figure for figure in json.load(file)["figures"]}
        self.assertEqual(by_name["its exact row, without offload"]["missing"], "no result of ablation")

    def train(self, *arguments, step_ms=10, text=True, status=0):
        """The stage with a train_lm that writes reports of the runs below; what it printed, the figures by name, its jobs."""
        self.fake("nvidia-smi", NVIDIA_SMI)
        self.fake("nvcc", NVCC)
        self.tests()
        for name, run in TRAINED.items():
            with open(os.path.join(self.folder, f"{name}.report"), "w", encoding="utf-8") as file:
                json.dump({**run, "step_ms_median": step_ms * run["step_ms_median"]}, file)
        program = os.path.join(self.tree, "build/cuda/examples/train_lm/train_lm")
        if not os.path.exists(program):
            self.fake("train_lm", TRAIN_LM.replace("FOLDER", self.folder), os.path.dirname(program))
            os.utime(program, (1e9, 1e9))
        more = {}
        if text:
            path = os.path.join(self.folder, "shakespeare.txt")
            with open(path, "w", encoding="ascii") as file:
                file.write("ab\n" * (1115394 // 3))
            more["TIERLIB_GPU_CHECK_TEXT"] = path
        done = self.run_check("--stage", "train", *arguments, **more)
        self.expect(done, status)
        with open(os.path.join(self.tree, "build/cuda/gpu_check.json"), encoding="utf-8") as file:
            by_name = {figure["name"]: figure for figure in json.load(file)["figures"]}
        with open(os.path.join(self.tree, "build/cuda/gpu_check/train/stage.json"), encoding="utf-8") as file:
            stage = json.load(file)
        self.short = stage["short"]
        return done.stdout, by_name, {job["name"]: job for job in stage["jobs"]}

    def test_training_is_judged_by_the_least_loss_of_each_seed(self):
        printed, by_name, jobs = self.train()
        for name, value, kept in (("nanoGPT's GPU configuration, loss by its own estimate", 1.47, True),
                                  ("the same on the whole validation part", 1.46, None),
                                  ("its loss at 3 bits less the plain one, whole validation part", 0.03, False),
                                  ("its step at 3 bits", 1.5, None)):
            self.assertAlmostEqual(by_name[name]["value"], value, msg=name)
            self.assertEqual(by_name[name]["kept"], kept, name)
        self.assertEqual({job["state"] for job in jobs.values()}, {"done"})
        # 5000 steps of 10 ms, 20 evaluations of 7 and 200 batches of 4 ms, and 5 % more.
        self.assertAlmostEqual(jobs["plain_seed1"]["estimated_s"] - 1.05 * self.short["plain"]["start_s"],
                               1.05 * (50 + 20 * 207 * 0.004))
        self.assertIn("plain_seed1: about ", printed)
        with open(os.path.join(self.folder, "calls"), encoding="utf-8") as file:
            calls = file.read().splitlines()
        self.assertEqual(len(calls), 6)
        for words in ("--batch 64", "--context 256", "--dropout 0.2", "--steps 5000", "--dtype bf16", "--device cuda",
                      "--bits 32 --seed 3 --eval-every 250 --eval-batches 200"):
            self.assertIn(words, calls[-1])
        # Trained once, they are kept until train_lm is another.
        _, again, jobs = self.train(step_ms=1000)
        self.assertEqual({job["state"] for job in jobs.values()}, {"kept"})
        self.assertAlmostEqual(again["nanoGPT's GPU configuration, loss by its own estimate"]["value"], 1.47)
        os.utime(os.path.join(self.tree, "build/cuda/examples/train_lm/train_lm"))
        later = time.time() + 60
        os.utime(os.path.join(self.tree, "build/cuda/examples/train_lm/train_lm"), (later, later))
        _, _, jobs = self.train(step_ms=1000)
        self.assertEqual({job["state"] for job in jobs.values()}, {"left out"})

    def test_training_that_does_not_fit_is_left_out_and_named(self):
        self.train()
        os.remove(os.path.join(self.tree, "build/cuda/gpu_check/train/plain_seed2.json"))
        printed, by_name, jobs = self.train(step_ms=200)  # 1000 s
        self.assertEqual({name: job["state"] for name, job in jobs.items()},
                         {"plain_seed1": "kept", "dkm_seed1": "kept", "plain_seed2": "left out", "plain_seed3": "kept"})
        missing = by_name["nanoGPT's GPU configuration, loss by its own estimate"]["missing"]
        self.assertIn("2 of 3 seeds (1.4600, 1.4800); plain_seed2: left out: takes ", missing)
        self.assertIn("run --stage train again for it", printed)

    def test_without_its_text_nothing_is_trained(self):
        with open(os.path.join(self.tree, "README.md"), "w", encoding="utf-8") as file:
            file.write("Tiers é " * 20000)
        printed, by_name, jobs = self.train(text=False)
        self.assertEqual(jobs, {})
        self.assertIn("step times alone, on the project's own documents", printed)
        self.assertIn("no tinyshakespeare.txt", by_name["the same on the whole validation part"]["missing"])
        self.assertAlmostEqual(by_name["its step at 3 bits"]["value"], 1.5)
        self.assertIn("train_lm takes 10.00 ms; no measurement TorchTrainStep", by_name["a step of it, bf16"]["missing"])
        self.expect(self.run_check("--stage", "train", TIERLIB_GPU_CHECK_TEXT="nowhere.txt"), 77,
                    f"{self.folder}/nowhere.txt: TIERLIB_GPU_CHECK_TEXT must name tinyshakespeare.txt")

    def test_a_training_that_fails_is_named_and_the_others_go_on(self):
        self.fake("train_lm", TRAIN_LM.replace("FOLDER", self.folder).replace(
            "kind=plain", '[[ "$*" != *"--seed 2"* ]] || { echo "step 7: the loss is NaN" >&2; exit 1; }; kind=plain'),
            os.path.join(self.tree, "build/cuda/examples/train_lm"))
        os.utime(os.path.join(self.tree, "build/cuda/examples/train_lm/train_lm"), (1e9, 1e9))
        stale = os.path.join(self.tree, "build/cuda/gpu_check/train")
        os.makedirs(stale)
        with open(os.path.join(stale, "plain_seed2.json"), "w", encoding="utf-8") as file:
            json.dump(trained(1, (1.0, 1.0)), file)  # of another train_lm
        printed, by_name, jobs = self.train(status=1)
        self.assertEqual(by_name["nanoGPT's GPU configuration, loss by its own estimate"]["missing"],
                         "2 of 3 seeds (1.4600, 1.4800); plain_seed2: failed: plain_seed2 failed with 1: step 7: the loss is NaN")
        self.assertIn("plain_seed2 failed with 1: step 7: the loss is NaN", printed)
        self.assertEqual(jobs["plain_seed2"]["state"], "failed")
        self.assertEqual(jobs["plain_seed3"]["state"], "done")
        self.assertEqual(by_name["its loss at 3 bits less the plain one, whole validation part"]["kept"], False)

    def test_a_step_is_held_against_the_faster_of_pytorchs(self):
        folder = os.path.join(self.folder, "results")
        os.makedirs(os.path.join(folder, "train"))
        documents = {"stage": {"text": None, "is_tinyshakespeare": False, "jobs": [], "short": {"plain": {"step_ms": 9.0}}},
                     "pytorch_train": {"benchmarks": [run("TorchTrainStep/dtype:autocast", each) for each in (15, 14, 16)] +
                                       [run("TorchTrainStep/dtype:bf16", 10)]}}
        for name, document in documents.items():
            with open(os.path.join(folder, f"train/{name}.json"), "w", encoding="utf-8") as file:
                json.dump(document, file)
        by_name = {figure["name"]: figure for figure in figures.figures_of(figures.Results(folder))}
        step = by_name["a step of it, bf16"]
        self.assertAlmostEqual(step["value"], 0.9)
        self.assertEqual(step["kept"], True)
        self.assertEqual(step["peer"], "train_lm 9.00 ms; eager PyTorch: autocast 15.00 ms, bf16 10.00 ms")

    def test_a_log_is_replayed_in_its_order(self):
        log = os.path.join(self.folder, "log.csv")
        with open(log, "w", encoding="utf-8") as file:
            file.write("Thread,Time,Action,Pointer,Size,Stream\n1,0,allocate,0x1,100,0\n1,0,allocate,0x2,50,7\n1,0,free,0x1,100,0\n"
                       "1,0,free,0x9,1,0\n1,0,allocate,0x1,20,0\n")
        calls = []

        def allocate(size, stream):
            calls.append((size, stream))
            return size

        peak = pytorch_replay.replay(pytorch_replay.read_log(log), allocate, calls.append)
        self.assertEqual(calls, [(100, "0"), (50, "7"), 100, (20, "0"), 50, 20])
        self.assertEqual(peak, 150)
        with open(log, "w", encoding="utf-8") as file:
            file.write("a,b\n1,2\n")
        with self.assertRaisesRegex(ValueError, "not RMM's log: its first line must name Action"):
            pytorch_replay.read_log(log)


def run(name, real_time=1.0, unit="ms", **counters):
    return {"name": name, "run_name": name, "run_type": "iteration", "real_time": real_time, "time_unit": unit, **counters}


MEASURED = {
    "copies": [
        run("BareCopies/direction:0/manual_time", bytes_per_second=50e9), run("EngineCopies/direction:0/manual_time", bytes_per_second=49e9),
        run("BareCopies/direction:1/manual_time", bytes_per_second=50e9), run("EngineCopies/direction:1/manual_time", bytes_per_second=48e9),
        run("BareCopies/direction:2/manual_time", bytes_per_second=90e9),
        run("EngineCopies/direction:2/manual_time", error_occurred=True, error_message="a copy failed"),
    ],
    "allocations": [run("Pool/bytes:65536", 120, "ns"), run("Verbs/bytes:65536", 900, "ns"),
                    run("CudaMallocAsync/bytes:65536", 400, "ns")],
    # Three repetitions, of which the median counts, and what Google Benchmark makes of them.
    "steps": [
        *(run("Step/offload:0/trace:0/min_time:0.500/repeats:9/manual_time", each) for each in (10, 99, 9)),
        run("Step/offload:0/trace:0/min_time:0.500/repeats:9/manual_time", 55) | {"run_type": "aggregate"},
        run("Step/offload:0/trace:1/min_time:0.500/repeats:9/manual_time", 10.04),
        run("Step/offload:1/trace:0/min_time:0.500/repeats:9/manual_time", 10200, "us", overlap=0.9),
        run("Step/offload:1/trace:1/min_time:0.500/repeats:9/manual_time", 10.5),
    ],
    "dkm": [run("DeviceCopy/536870912/manual_time", bytes_per_second=4e12),
            run(f"{figures.EXACT}/manual_time", 100, "us", over_bytes=2.0, saved_bytes=1024),
            run("Matvec/rows:4096/columns:11008/bits:3/manual_time", 9, "us")],
}

# As `ablation --device cuda --json` prints it.
ABLATION = {"n": 4096, "bits": 3, "iterations": 1, "learners": 8, "dtype": "bf16", "device": "cuda", "rows": [
    {"name": name, "host_bytes": int(mib * 2**20) + 256, "device_peak_bytes": 3 << 30, "seconds": seconds, "gradient_error": 0.006}
    for name, mib, seconds in (("none", 1600, 9.0), ("M", 544, 8.0), ("MU", 32.15, 8.0), ("MS", 68, 12.0), ("MUS", 4.03, 13.0),
                               ("dense", 0, 0.02), ("exact_with_w", 32, 0.006), ("exact", 0, 0.005))]}


def trained(step, *evaluations):
    """As train_lm reports it: (val_loss, estimate) of evaluations of 27 batches, 4 ms each."""
    least = [min(each) if None not in each else None for each in zip(*evaluations)]
    return {"val_loss": evaluations[-1][0], "step_ms_median": step, "evaluations": {
        "least_val_loss": least[0], "least_estimate": least[1],
        "all": [{"step": 250 * (i + 1), "val_loss": loss, "estimate": estimate, "ms": 108.0}
                for i, (loss, estimate) in enumerate(evaluations)]}}


TRAINED = {"short_plain": trained(1, (3.1, 3.2)), "short_dkm": trained(1.5, (3.3, 3.4)),
           "plain1": trained(1, (1.9, 1.91), (1.45, 1.46), (1.6, 1.61)), "plain2": trained(1, (1.46, 1.47), (1.5, 1.5)),
           "plain3": trained(1, (1.47, 1.48)), "dkm1": trained(1.5, (1.7, None), (1.48, None))}
TRAIN_LM = """
echo "$*" >>FOLDER/calls
arguments="$*"
report=${arguments#*--report }
report=${report%% *}
seed=${arguments#*--seed }
kind=plain
[[ $* != *"--bits 3 "* ]] || kind=dkm
if [[ $* = *--stop-at* ]]; then name=short_$kind; else name=$kind${seed%% *}; fi
cat "FOLDER/$name.report" >"$report"
"""

if __name__ == "__main__":
    unittest.main()
