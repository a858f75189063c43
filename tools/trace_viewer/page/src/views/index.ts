// All views, in the order in which they are shown. One line each.

import { CompareView } from './compare_view.ts';
import { EfficiencyView } from './efficiency_view.ts';
import { ExposureView } from './exposure_view.ts';
import { FragmentationViews } from './fragmentation_view.ts';
import { HolesView } from './holes_view.ts';
import { LineageView } from './lineage_view.ts';
import { LinkViews } from './link_views.ts';
import { OccupancyViews } from './occupancy_view.ts';
import { OpsView } from './ops_view.ts';
import { PeakView } from './peak_view.ts';
import { StallsView } from './stalls_view.ts';
import { StepsView } from './steps_view.ts';
import { WaitsView } from './waits_view.ts';
import type { ViewFactory } from './view.ts';

export const timelineFactories: ViewFactory[] = [
  StepsView,
  OpsView,
  LinkViews,
  StallsView,
  ExposureView,
  OccupancyViews,
  FragmentationViews,
];

export const panelFactories: ViewFactory[] = [
  PeakView,
  HolesView,
  LineageView,
  EfficiencyView,
  WaitsView,
  CompareView,
];
