// What the page derives of a trace that the project's programs made are the sums of the summary; without a browser.

import { beforeAll, describe, expect, test } from 'vitest';
import { Median } from '../../src/derive/compare.ts';
import type { Derived } from '../../src/derive/derived.ts';
import { TotalLength } from '../../src/derive/intervals.ts';
import { DeriveAvoided } from '../../src/derive/lineage.ts';
import { DeriveLink } from '../../src/derive/link.ts';
import { tagCount } from '../../src/derive/occupancy.ts';
import { SharesAfter } from '../../src/derive/peak.ts';
import { GroupWaits } from '../../src/derive/waits.ts';
import type { Summary } from '../../src/model.ts';
import { Action, Direction } from '../../src/vocabulary.ts';
import { pages } from './pages.ts';

describe('what the page derives', () => {
  let derived: Derived;
  let summary: Summary;
  beforeAll(async () => {
    derived = await pages.Derived('medium');
    summary = pages.Summary('medium');
  });

  test('times, stalls, copies and steps add up to those of the summary', () => {
    const { exposure, stalls, transfers, steps } = derived;
    expect(TotalLength(exposure.transfer)).toBe(summary.time.transfer_ns);
    expect(TotalLength(exposure.exposed)).toBe(summary.time.exposed_ns);
    expect(TotalLength(exposure.hidden)).toBe(summary.time.hidden_ns);
    expect(TotalLength(exposure.compute)).toBe(summary.time.compute_ns);
    expect(TotalLength(exposure.unknown)).toBe(summary.time.unknown_ns);
    expect(stalls.count).toBe(summary.stalls.count);
    expect(stalls.end.reduce((sum, end, i) => sum + end - stalls.begin[i]!, 0)).toBe(summary.stalls.total_ns);
    expect(steps.finished.reduce((sum, one) => sum + one, 0)).toBe(summary.steps.count);
    for (const [direction, figures] of [[Direction.Out, summary.transfers.out], [Direction.In, summary.transfers.in]] as const) {
      const mine = [...transfers.bytes.keys()].filter(i => transfers.direction[i] === direction);
      expect(mine.length).toBe(figures.count);
      expect(mine.reduce((sum, i) => sum + transfers.bytes[i]!, 0)).toBe(figures.bytes);
    }
  });

  test('what tiers hold, and its shares at the peak, are those of the summary', () => {
    const { occupancies, trace, blocks, storages, patterns } = derived;
    const { tags, tiers } = trace.meta.vocabulary;
    expect(occupancies.map(occupancy => tiers[occupancy.tier])).toEqual(summary.tiers.map(tier => tier.tier));
    occupancies.forEach((occupancy, i) => {
      const tier = summary.tiers[i]!;
      expect(occupancy.peakBytes).toBe(tier.peak_bytes);
      expect(occupancy.time[occupancy.peak]).toBe(tier.peak_time_ns);
      expect(occupancy.total[occupancy.count - 1]).toBe(tier.live_at_end);
      expect(occupancy.consistent).toBe(tier.consistent);
      const byTag = new Float64Array(tagCount);
      occupancy.ByTag(occupancy.peak, byTag);
      const named = Object.fromEntries([...byTag].map((bytes, tag) => [tags[tag], bytes] as const).filter(([, bytes]) => bytes > 0));
      expect(named).toEqual(tier.peak_by_tag);
      const root = SharesAfter(trace, blocks, storages, patterns, occupancy.tier, occupancy.record[occupancy.peak]!);
      expect(root.bytes).toBe(tier.peak_bytes);
      expect(Object.fromEntries(root.children.map(share => [share.name, share.bytes]))).toEqual(tier.peak_by_tag);
    });
  });

  test('avoided copies, waits, copies and steps are those of the summary', () => {
    const { trace, labelsInFull, stalls, waiters, transfers, stepFigures } = derived;
    const whole = trace.duration;
    const avoided = DeriveAvoided(trace, labelsInFull, 0, whole, () => true);
    const Avoided = (action: number) => avoided.reduce((sum, group) => sum + (group.action === action ? group.bytes : 0), 0);
    expect({
      identity: Avoided(Action.Reference),
      lineage: Avoided(Action.Replay),
      recompute: Avoided(Action.Recompute),
      frees_nothing: Avoided(Action.FreesNothing),
    }).toEqual(summary.bytes.avoided);
    const waits = new Map<string, number>();
    for (const group of GroupWaits(stalls, waiters, labelsInFull, 0, whole, () => true)) {
      const key = `${labelsInFull.names[group.name]}, ${trace.meta.vocabulary.stall_causes[group.cause]}`;
      waits.set(key, (waits.get(key) ?? 0) + group.ns);
    }
    expect(waits).toEqual(new Map(summary.stalls.by_storage.map(one => [`${one.storage}, ${one.cause}`, one.ns])));
    expect(waits.size).toBeGreaterThan(0);
    const { classes } = DeriveLink(transfers, 0, whole, () => true, new Map());
    for (const [direction, figures] of [[0, summary.transfers.out], [1, summary.transfers.in]] as const) {
      const mine = classes.filter(one => one.direction === direction);
      expect(mine.reduce((sum, one) => sum + one.bytes, 0)).toBe(figures.finished_bytes);
      expect(mine.reduce((sum, one) => sum + one.count, 0)).toBe(figures.count - figures.unfinished);
    }
    expect(stepFigures.number.length).toBe(summary.steps.count);
    expect(Math.floor(Median(stepFigures.figures.step))).toBe(summary.steps.median_ns);
  });
});
