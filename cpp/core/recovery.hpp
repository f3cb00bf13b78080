// Recovery: what is done with a segment whose writer died, or whose file may have lost bytes.
//
// A writer changes the file in this order, and may be killed between any two steps:
//
//   append   tail_moved        oldest records given up, nothing written yet        harmless
//            filler_written    the rest of the log's lap is skipped                harmless
//            record_written    bytes beyond head                                   harmless: overwritten later
//            key_half_written  idempotency_pending set, the slot in part           harmless: its time is over
//            key_written       the slot is whole                                   its time is made to be over
//            ring_written      the ring names the record, the channel does not     harmless: overwritten later
//            committed         channel's `last` stored, head not                   head moves over the record
//            head_moved        idempotency_pending still set                       it is cleared, the slot stays
//   create   slot_freed        evicted channel's generation even, table not        the table is built anew
//            name_written      slot filled in, generation even                     the slot stays free
//            slot_live         generation odd, not in the table                    the table is built anew
//   forget   void_changed      header has a new void epoch, channel as before      harmless
//            life_flipped      done, but the feed was not told                     harmless: readers see the epoch
//   replace  copies_written    the ring names records of the next life           what it names of the life before is
//                              until the flip                                    unreadable until the channel is
//                              replaced
//   announce message_written   bytes beyond head; nobody was told                  harmless: overwritten later
//
// repair() handles all of these, in microseconds. verify() in addition trusts nothing: it checks every record of every
// channel by its CRC, as needed after a power cut, a copy or a tampering hand.
//
// A kernel that died may have left any part of the file older than another. What is there can be checked, but not what
// is missing: a channel whose newest events never reached the disk looks whole. So after such a death every channel
// goes on under a new epoch, with the events that are left, and whoever saw more than those is told.
//
// verify() may be killed too. A channel goes over to its new epoch by the flip of its generation, after its records
// did; the new epoch follows from the old one and Header::verifying, so the next verify() knows the records that went
// before.
//
// REQUIRES: the caller holds the segment's lock (repair) or is the only user of the file (verify).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/segment_layout.hpp"

namespace polyglot::core {

void repair(const SegmentMap& map);

// False when head and tail make no sense: the file cannot be used. Appends one sentence per kind of loss to `notices`.
// Channels whose newest events are gone go on from the newest whole one under a new epoch; events older than a damaged
// one are given up; idempotency keys of events that are gone are forgotten.
// `kernel_died`: the file was in use when its kernel ended, so that what is missing does not show.
bool verify(const SegmentMap& map, bool kernel_died, std::vector<std::string>& notices);

// The record at `position`, whole and with a right CRC? REQUIRES: position < head or the caller holds the lock.
bool record_is_whole(const SegmentMap& map, std::uint64_t position, RecordHeader& header);

}  // namespace polyglot::core
