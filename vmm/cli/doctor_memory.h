/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of a device and memory, for the table in doctor_device.c. */
#ifndef DOCTOR_MEMORY_H
#define DOCTOR_MEMORY_H

#include "cli/doctor.h"

/* What the firmware keeps for it. */
void doctor_memory_reserved(struct doctor *doctor, struct doctor_device *dev);
/* Whether its DMA reaches all of a guest. */
void doctor_memory_reach(struct doctor *doctor, struct doctor_device *dev);
/* Whether its NUMA node has room for all of a guest. */
void doctor_memory_numa(struct doctor *doctor, struct doctor_device *dev);
/* Whether its BARs, with those of what goes with it, fit into a guest's addresses. */
void doctor_memory_bars(struct doctor *doctor, struct doctor_device *dev);
/* Whether its BARs could be larger. */
void doctor_memory_resize(struct doctor *doctor, struct doctor_device *dev);

#endif
