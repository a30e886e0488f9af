"""Tests of what the bench makes of its numbers: statistics, verdicts, parsers, the plan. They start
no server and need nothing but Python; `cargo test --test peers` runs them."""

import json
import os
import tempfile
import unittest

import client
import figures
import memory
import peers
import probes
import rows
import servers
import table


class Intervals(unittest.TestCase):
    def test_few_values_are_all_there_is(self):
        (low, high), sure = figures.interval([3, 1, 2, 5, 4])
        self.assertEqual((low, high), (1, 5))
        self.assertAlmostEqual(sure, 1 - 2 / 32)
        self.assertEqual(figures.interval([7]), ((7, 7), 0.0))

    def test_more_values_give_up_their_ends(self):
        # Binomial tables: of 6 none, of 9 one at each end, of 20 five.
        self.assertEqual(figures.interval(list(range(6)))[0], (0, 5))
        self.assertEqual(figures.interval(list(range(9)))[0], (1, 7))
        (low, high), sure = figures.interval(list(range(20)))
        self.assertEqual((low, high), (5, 14))
        self.assertAlmostEqual(sure, 0.9586, places=4)

    def test_the_floor_is_the_larger_end(self):
        self.assertAlmostEqual(figures.noise_floor("difference", [1, 2, 3], [1, 1, 5]), 2)
        self.assertAlmostEqual(figures.noise_floor("ratio", [1, 1], [2, 1]), 0.6931, places=4)
        self.assertIsNone(figures.noise_floor("ratio", [1], [1]))
        self.assertIsNone(figures.noise_floor("ratio", [1, 2], [1]))


class Verdicts(unittest.TestCase):
    def judged(self, values, bound=1.0, sense="at most", floor=0.02, kind="ratio"):
        return figures.judge(kind, values, bound, sense, floor).verdict

    def test_both_senses(self):
        good, bad = [0.8, 0.81, 0.82, 0.83, 0.84], [1.2, 1.21, 1.22, 1.23, 1.24]
        self.assertEqual(self.judged(good), "reached")
        self.assertEqual(self.judged(bad), "not reached")
        self.assertEqual(self.judged(good, sense="at least"), "not reached")
        self.assertEqual(self.judged(bad, sense="at least"), "reached")

    def test_what_cannot_be_told_is_not_told(self):
        self.assertEqual(self.judged([0.9, 0.95, 0.97, 0.98, 1.1]), "not resolved")
        self.assertEqual(self.judged([0.98, 0.981, 0.982, 0.983, 0.984], floor=0.05),
                         "not resolved")
        self.assertEqual(self.judged([0.5, 0.5]), "not resolved")
        self.assertEqual(self.judged([0.5] * 5, floor=None), "not resolved")
        self.assertEqual(self.judged([]), "not measured")

    def test_a_figure_without_goal_has_no_verdict(self):
        self.assertEqual(self.judged([2.0] * 5, bound=None), "no goal")

    def test_differences_may_be_negative(self):
        values = [-0.5, -0.4, -0.4, -0.3, -0.3]
        self.assertEqual(self.judged(values, 0.2, floor=0.3, kind="difference"), "reached")
        self.assertEqual(self.judged(values, 0.2, floor=0.7, kind="difference"), "not resolved")

    def test_single_figures(self):
        self.assertEqual(figures.judge_once(8, 10, "at most").verdict, "reached")
        self.assertEqual(figures.judge_once(12, 10, "at most", 11, 13).verdict, "not reached")
        self.assertEqual(figures.judge_once(9, 10, "at most", 8, 11).verdict, "not resolved")


class Parsers(unittest.TestCase):
    def single(self, errors=0):
        return json.dumps({
            "requests": {"ok": 1000, "sent": 1000, "errors": errors}, "achieved_per_s": 500.0,
            "errors": {"status": {"count": errors, "example": "401"}}, "breaches": ["steal"],
            "server": {"cpu_ns": 5_000_000, "processes": [{"user_ns": 1_000_000},
                                                          {"user_ns": 500_000}]}})

    def test_a_slice_of_tollgate_run(self):
        sample = client.sample_of(self.single())
        self.assertEqual((sample.us, sample.user_us, sample.rps), (5.0, 1.5, 500.0))
        self.assertEqual(sample.disturbed, ["steal"])

    def test_wrong_replies_are_no_sample(self):
        with self.assertRaisesRegex(RuntimeError, "401"):
            client.sample_of(self.single(errors=500))

    def test_h2load(self):
        text = ("finished in 2.00s, 190000.50 req/s, 30MB/s\n"
                "requests: 380001 total, 380001 started, 380001 done, 380001 succeeded, "
                "0 failed, 0 errored, 0 timeout\n")
        self.assertEqual(client.h2load_counts(text), (380001, 190000.5))
        for wrong in ("", text.replace("380001 succeeded, 0 failed", "9 succeeded, 9 failed")):
            with self.assertRaises(RuntimeError):
                client.h2load_counts(wrong)

    def test_token_counters(self):
        page = ('tollgate_token_verifications_total{result="ok",cache="hit"} 7\n'
                'tollgate_token_verifications_total{result="expired",cache="hit"} 9\n'
                'tollgate_token_verifications_total{result="ok",cache="off"} 2\n')
        self.assertEqual(client.token_counts(page), {"hit": 7, "off": 2})

    def test_smaps(self):
        self.assertEqual(memory.anonymous_bytes("Pss: 9 kB\nPss_Anon:      12 kB\n"), 12288)
        with self.assertRaises(RuntimeError):
            memory.anonymous_bytes("Pss: 9 kB\n")

    def test_criterion(self):
        full_id, bound = probes.STORES["stores.get"]
        with tempfile.TemporaryDirectory() as folder:
            new = os.path.join(folder, "orders", "get", "1", "new")
            os.makedirs(new)
            with open(os.path.join(new, "benchmark.json"), "w", encoding="utf-8") as file:
                json.dump({"full_id": full_id}, file)
            with open(os.path.join(new, "estimates.json"), "w", encoding="utf-8") as file:
                json.dump({"median": {"point_estimate": 24.0, "confidence_interval": {
                    "lower_bound": 23.0, "upper_bound": 25.0}}}, file)
            found = probes.estimates(folder)
        self.assertEqual(found, {full_id: (24.0, 23.0, 25.0)})
        self.assertEqual(probes.store_answer(found, full_id, bound)[0].verdict, "reached")
        self.assertEqual(probes.store_answer({}, full_id, bound)[0].verdict, "failed")

    def test_this_process_has_used_cpu(self):
        self.assertGreater(client.cpu_ns(os.getpid()), 0)


class Plan(unittest.TestCase):
    def test_names_are_unique_and_sides_tell_themselves_apart(self):
        names = [row.name for block in rows.all_blocks() for row in block.rows]
        names += [name for probe in probes.all_probes() for name in probe.goals]
        self.assertEqual(len(names), len(set(names)))
        for block in rows.all_blocks():
            said = {}
            for side in [block.twin] + [side for row in block.rows for side in row.sides]:
                self.assertEqual(said.setdefault(side.name, side.traffic), side.traffic, side.name)

    def test_rows_are_chosen_by_the_beginning_of_their_name(self):
        blocks, singles = peers.plan(["tls.get.s1", "memory.tls"])
        self.assertEqual([block.name for block, _ in blocks], ["tls.get"])
        self.assertTrue(all(row.name.startswith("tls.get.s1.") for row in blocks[0][1]))
        self.assertEqual([names for _, names in singles], [["memory.tls", "memory.tls.used"]])
        with self.assertRaises(SystemExit):
            peers.plan(["tls.g"])

    def test_rows_of_two_builds_need_a_build_before(self):
        blocks, singles = peers.plan(["before.hop"], "/a/build")
        self.assertEqual([row.name for _, chosen in blocks for row in chosen],
                         ["before.hop.s0", "before.hop.s1", "before.hop.s3", "before.hop.s4"])
        self.assertEqual(singles, [])
        with self.assertRaises(SystemExit):
            peers.plan(["before.hop"])

    def test_formulae(self):
        sample = client.Sample
        block = rows.token("ES256")
        row = next(row for row in block.rows if row.name == "token.es256.off")
        turn = {"tollgate S4 cache off": sample(52), "tollgate S3": sample(7),
                "ring verify ES256": sample(40)}
        self.assertAlmostEqual(row.value(turn), 1.0)
        row = next(row for row in rows.plain("GET").rows if row.name == "plain.get.axum")
        self.assertAlmostEqual(row.value({"tollgate S0": sample(5), "axum S0": sample(6)}), 1.2)

    def test_reservations_are_each_their_own(self):
        lines = [json.loads(line) for line in probes.reservations().splitlines()]
        self.assertEqual(len(lines), probes.RESERVATIONS)
        self.assertEqual(len({line["body"]["orderId"] for line in lines}), len(lines))
        skus = {line["body"]["items"][0]["sku"] for line in lines}
        self.assertEqual(skus, set(probes.SKUS))

    def test_configurations_have_no_gap(self):
        with self.assertRaises(KeyError):
            servers.filled("haproxy.cfg.in", port=1)


class Tables(unittest.TestCase):
    def test_every_format_has_every_row(self):
        lines = [table.Line("a.b", "<= 1", "ratio", figures.judge("ratio", [0.5] * 5, 1.0,
                                                                  "at most", 0.01), "1 us", "2 us"),
                 table.Line("c", "<= 2", "once", figures.not_measured("no cores"))]
        for shown in (table.text(lines, ["note"]), table.markdown(lines, ["note"]),
                      table.as_json(lines, ["note"], {})):
            self.assertIn("reached", shown)
            self.assertIn("no cores", shown)
        self.assertIn("| 0.50 (0.50, 0.50) |", table.markdown(lines, []))


if __name__ == "__main__":
    unittest.main()
