"""The steps that Redis takes as one, in Lua."""

from __future__ import annotations

from mailblast.executors.queue.states import ACCEPTED, FIRST_SLOT, IN_DOUBT, QUEUED

__all__ = ["FIRST_SLOT", "SCRIPTS"]

_STATE = f"""
local function state(id)
    local byte = redis.call('GETRANGE', KEYS[1], id, id)
    if byte == '' then return 0 end
    return string.byte(byte)
end
-- The numbers in a line of their own, so that nobody needs to read the rows for them.
local function batch_of(ids, rows)
    return table.concat(ids, ',') .. '\\n[' .. table.concat(rows, ',') .. ']'
end
local function set(id, value) redis.call('SETRANGE', KEYS[1], id, string.char(value)) end
local ACCEPTED, IN_DOUBT, QUEUED, SLOT = {ACCEPTED}, {IN_DOUBT}, {QUEUED}, {FIRST_SLOT}
"""

#: Ids with commas, and their rows, a line each -> number of the batch (0 for none), then those refused with their
#: states. Whoever is settled otherwise than by being accepted is put again: the journal has said so.
PUT = (
    _STATE
    + """
local ids, rows, refused = {}, {}, {0}
local next_row = string.gmatch(ARGV[2], '[^\\n]+')
for id in string.gmatch(ARGV[1], '%d+') do
    local now, row = state(id), next_row()
    if now == ACCEPTED or now == QUEUED or now >= SLOT then
        refused[#refused + 1] = id
        refused[#refused + 1] = now
    else
        set(id, QUEUED)
        ids[#ids + 1] = id
        rows[#rows + 1] = row
    end
end
if #rows > 0 then
    refused[1] = redis.call('INCR', KEYS[4])
    redis.call('HSET', KEYS[2], refused[1], batch_of(ids, rows))
    redis.call('SADD', KEYS[3], refused[1])
end
return refused
"""
)

#: Token, priority, delay in ms, ids and rows of those who were refused for now and are queued still.
PUT_LATER = (
    _STATE
    + """
local ids, rows = {}, {}
for i = 4, #ARGV, 2 do
    if state(ARGV[i]) == QUEUED then
        ids[#ids + 1] = ARGV[i]
        rows[#rows + 1] = ARGV[i + 1]
    end
end
if #rows > 0 then
    local batch = redis.call('INCR', KEYS[3])
    redis.call('HSET', KEYS[2], batch, batch_of(ids, rows))
    local time = redis.call('TIME')
    local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
    redis.call('ZADD', KEYS[4], due, ARGV[1] .. ':' .. batch .. ':' .. ARGV[2])
end
return #rows
"""
)

#: Limit and prefix of keys -> members that are due. Until the engine has them they are among the campaign's "unput".
TAKE_DUE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], 0, now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
    redis.call('ZREM', KEYS[1], member)
    local token, batch = string.match(member, '^([^:]+):([^:]+)')
    redis.call('SADD', ARGV[2] .. token .. ':unput', batch)
end
return due
"""

#: Number of a batch -> its rows and their states, nil where it is finished.
READ = (
    _STATE
    + """
local batch = redis.call('HGET', KEYS[2], ARGV[1])
if not batch then return nil end
local states, ends = {}, string.find(batch, '\\n', 1, true)
for id in string.gmatch(string.sub(batch, 1, ends), '%d+') do states[#states + 1] = string.char(state(id)) end
return {string.sub(batch, ends + 1), table.concat(states)}
"""
)

#: Number of a batch, which is cancelled.
DROP = (
    _STATE
    + """
local batch = redis.call('HGET', KEYS[2], ARGV[1])
if not batch then return 0 end
for id in string.gmatch(string.sub(batch, 1, string.find(batch, '\\n', 1, true)), '%d+') do
    if state(id) == QUEUED then set(id, 0) end
end
return redis.call('HDEL', KEYS[2], ARGV[1])
"""
)

#: One turn of a worker, in one step: KEYS ledger, outcomes, groups; ARGV own slot, worker id, number of the group,
#: outcomes that are final, those to be tried again, how many marks, the marked ids, then pairs of id and state.
#: Marks are set all or none: what is returned are those that are somebody else's, none where all are set.
#: A group that was told before changes nothing: its answer was lost.
TURN = (
    _STATE
    + """
local slot, marks = tonumber(ARGV[1]), tonumber(ARGV[6])
local known = ARGV[3] ~= '' and tonumber(redis.call('HGET', KEYS[3], ARGV[2]) or 0) >= tonumber(ARGV[3])
if ARGV[3] ~= '' and not known then
    for i = 7 + marks, #ARGV, 2 do
        local now, value = state(ARGV[i]), tonumber(ARGV[i + 1])
        if value == QUEUED then
            if now == slot then set(ARGV[i], QUEUED) end
        elseif now ~= ACCEPTED then
            set(ARGV[i], value)
        end
    end
    if ARGV[4] ~= '' then redis.call('XADD', KEYS[2], '*', 'o', ARGV[4]) end
    if ARGV[5] ~= '' then redis.call('XADD', KEYS[2], '*', 'r', ARGV[5]) end
    redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
end
local refused = {}
for i = 7, 6 + marks do
    local now = state(ARGV[i])
    if now ~= QUEUED and now ~= slot then refused[#refused + 1] = ARGV[i] end
end
if #refused == 0 then
    for i = 7, 6 + marks do set(ARGV[i], slot) end
end
return refused
"""
)

#: Pairs of id and final state -> how many were not known.
RESTORE = (
    _STATE
    + """
local told = 0
for i = 1, #ARGV, 2 do
    local now, value = state(ARGV[i]), tonumber(ARGV[i + 1])
    if now ~= value and (value == ACCEPTED or now == 0) then
        set(ARGV[i], value)
        told = told + 1
    end
end
return told
"""
)

#: Outcomes, then the ids of those in doubt.
SETTLE = (
    _STATE
    + """
for i = 2, #ARGV do
    if state(ARGV[i]) >= SLOT then set(ARGV[i], IN_DOUBT) end
end
redis.call('XADD', KEYS[2], '*', 'o', ARGV[1])
return 0
"""
)

#: Worker id and what it tells.
SEEN = """
local time = redis.call('TIME')
return redis.call('HSET', KEYS[1], ARGV[1], time[1] .. '.' .. string.format('%06d', time[2]) .. ' ' .. ARGV[2])
"""

SCRIPTS = {
    "put": PUT,
    "put_later": PUT_LATER,
    "take_due": TAKE_DUE,
    "read": READ,
    "drop": DROP,
    "turn": TURN,
    "restore": RESTORE,
    "settle": SETTLE,
    "seen": SEEN,
}
