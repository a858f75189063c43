// What a tier holds at one instant, as a tree: tag, then label (numbers in it as *), then block. Each node's bytes are the sum of
// its children's, and the root's are the pool's counter.

import type { Trace } from '../model.ts';
import type { Blocks } from './blocks.ts';
import { LiveAfter } from './blocks.ts';
import type { LabelPatterns } from './label_patterns.ts';
import type { Storages } from './storages.ts';
import { StorageName } from './storages.ts';

export interface Share {
  name: string;
  bytes: number;
  tag: number;
  block: number; // of a leaf; -1: a group
  children: Share[]; // largest first
}

// After record `record`.
export function SharesAfter(
  trace: Trace, blocks: Blocks, storages: Storages, patterns: LabelPatterns, tier: number, record: number,
): Share {
  const root: Share = { name: trace.meta.vocabulary.tiers[tier] ?? `tier ${tier}`, bytes: 0, tag: 0, block: -1, children: [] };
  const tags = new Map<number, Share>();
  const labels = new Map<string, Share>();
  const Group = <Key>(groups: Map<Key, Share>, key: Key, parent: Share, name: string, tag: number): Share => {
    let group = groups.get(key);
    if (group === undefined) {
      group = { name, bytes: 0, tag, block: -1, children: [] };
      groups.set(key, group);
      parent.children.push(group);
    }
    return group;
  };
  for (const block of LiveAfter(blocks, tier, record)) {
    const tag = blocks.tag[block]!;
    const bytes = blocks.bytes[block]!;
    const name = BlockName(trace, blocks, storages, block);
    const ofTag = Group(tags, tag, root, trace.meta.vocabulary.tags[tag] ?? `tag ${tag}`, tag);
    const pattern = patterns.names[patterns.of[storages.label[blocks.storage[block]!]!]!] || name;
    const ofLabel = Group(labels, `${tag} ${pattern}`, ofTag, pattern, tag);
    ofLabel.children.push({ name, bytes, tag, block, children: [] });
    ofLabel.bytes += bytes;
    ofTag.bytes += bytes;
    root.bytes += bytes;
  }
  Sort(root);
  return root;
}

function Sort(share: Share): void {
  share.children.sort((a, b) => b.bytes - a.bytes);
  share.children.forEach(Sort);
}

export function BlockName(trace: Trace, blocks: Blocks, storages: Storages, block: number): string {
  const storage = blocks.storage[block]!;
  return storage === 0 ? 'no storage named' : StorageName(trace, storages, storage);
}
