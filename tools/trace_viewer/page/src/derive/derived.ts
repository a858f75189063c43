// Derived: what several views need of a trace, each made when it is first asked for and then kept.

import type { Trace } from '../model.ts';
import { Tier } from '../vocabulary.ts';
import { DeriveBlocks, type Blocks } from './blocks.ts';
import { DeriveStepFigures, type StepFigures } from './compare.ts';
import { DeriveExposure, type Exposure } from './exposure.ts';
import { DeriveLabelPatterns, LabelsThemselves, type LabelPatterns } from './label_patterns.ts';
import { DeriveOccupancy, type Occupancy } from './occupancy.ts';
import { DeriveOps, DeriveSteps, type Ops, type Steps } from './ops.ts';
import { DeriveStacks, type Stacks } from './stacks.ts';
import { DeriveStalls, type Stalls } from './stalls.ts';
import { DeriveStorageRecords, type StorageRecords } from './storage_records.ts';
import { DeriveStorages, type Storages } from './storages.ts';
import { DeriveTransfers, type Transfers } from './transfers.ts';
import { DeriveWaiters } from './waits.ts';

export class Derived {
  private kept = new Map<string, unknown>();
  constructor(readonly trace: Trace) {}

  get storages(): Storages {
    return this.Keep('storages', () => DeriveStorages(this.trace));
  }
  get transfers(): Transfers {
    return this.Keep('transfers', () => DeriveTransfers(this.trace, this.storages));
  }
  get stalls(): Stalls {
    return this.Keep('stalls', () => DeriveStalls(this.trace, this.storages));
  }
  get stacks(): Stacks {
    return this.Keep('stacks', () => DeriveStacks(this.trace));
  }
  get ops(): Ops {
    return this.Keep('ops', () => DeriveOps(this.trace));
  }
  get steps(): Steps {
    return this.Keep('steps', () => DeriveSteps(this.trace));
  }
  get exposure(): Exposure {
    return this.Keep('exposure', () => DeriveExposure(this.transfers, this.stalls, this.ops, this.trace.duration));
  }
  get blocks(): Blocks {
    return this.Keep('blocks', () => DeriveBlocks(this.trace));
  }
  get occupancies(): Occupancy[] { // of the tiers that were used
    return this.Keep('occupancies', () => DeriveOccupancy(this.trace));
  }
  get storageRecords(): StorageRecords {
    return this.Keep('storageRecords', () => DeriveStorageRecords(this.trace));
  }
  get patterns(): LabelPatterns {
    return this.Keep('patterns', () => DeriveLabelPatterns(this.trace.labels));
  }
  get labelsInFull(): LabelPatterns {
    return this.Keep('labelsInFull', () => LabelsThemselves(this.trace.labels));
  }
  get waiters(): Uint32Array { // by stall
    return this.Keep('waiters', () => DeriveWaiters(this.trace, this.stalls));
  }
  get stepFigures(): StepFigures {
    const device = this.occupancies.find(occupancy => occupancy.tier === Tier.Device);
    return this.Keep('stepFigures', () => DeriveStepFigures(this.trace, this.steps, this.transfers, this.stalls, device));
  }

  private Keep<T>(name: string, make: () => T): T {
    if (!this.kept.has(name)) this.kept.set(name, make());
    return this.kept.get(name) as T;
  }
}
