"""The steps that Redis takes as one, in Lua.

Ids travel as runs, ``7-9,12-12``: those of a batch follow each other in the list, nearly all, and a run is read or
written in one go. A batch is stored as its runs in one line, and its rows after it.
"""

from __future__ import annotations

from mailblast.executors.queue.states import ACCEPTED, FIRST_SLOT, IN_DOUBT, QUEUED

__all__ = ["FIRST_SLOT", "SCRIPTS"]

_STATE = f"""
local ACCEPTED, IN_DOUBT, QUEUED, SLOT = {ACCEPTED}, {IN_DOUBT}, {QUEUED}, {FIRST_SLOT}
local RUN = '(%d+)%-(%d+)'
local function size(first, last) return last - first + 1 end
-- The bytes of a run; what the string is too short for is 0, as all that was never set.
local function bytes_of(first, last)
    local bytes = redis.call('GETRANGE', KEYS[1], first, last)
    return bytes .. string.rep('\\0', size(first, last) - #bytes)
end
local function set(first, last, value)
    redis.call('SETRANGE', KEYS[1], first, string.rep(string.char(value), size(first, last)))
end
-- Change each byte of a run; change() returns the new one, or nil to leave it.
local function change_run(first, last, change)
    local bytes = bytes_of(first, last)
    for i = 1, #bytes do
        local value = change(string.byte(bytes, i))
        if value then set(first + i - 1, first + i - 1, value) end
    end
end
"""

#: Numbers of batches are never used again, not even by a server that has lost its memory: there may be workers that
#: still have a batch from before, and would be taken to be done with the new one.
_NUMBER = """
local function next_number(counter)
    if redis.call('EXISTS', counter) == 0 then
        local time = redis.call('TIME')
        redis.call('SET', counter, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
    end
    return string.format('%.0f', redis.call('INCR', counter))
end
"""

#: Runs and rows of a batch -> number of the batch, 0 where it was not put because of those that are queued, being sent
#: to or served, who follow with their states. Whoever is settled otherwise than by being accepted is put again: the
#: journal has said so.
PUT = (
    _STATE
    + _NUMBER
    + """
local refused = {0}
for first, last in string.gmatch(ARGV[1], RUN) do
    local bytes = bytes_of(first, last)
    if string.find(bytes, '[^%z]') then
        for i = 1, #bytes do
            local now = string.byte(bytes, i)
            if now == ACCEPTED or now == QUEUED or now >= SLOT then
                refused[#refused + 1] = first + i - 1
                refused[#refused + 1] = now
            end
        end
    end
end
if #refused > 1 then return refused end
for first, last in string.gmatch(ARGV[1], RUN) do set(first, last, QUEUED) end
local number = next_number(KEYS[4])
redis.call('HSET', KEYS[2], number, ARGV[1] .. '\\n' .. ARGV[2])
redis.call('SADD', KEYS[3], number)
return {tonumber(number)}
"""
)

#: Token, priority, delay in ms, runs and rows of those who were refused for now and are queued still.
PUT_LATER = (
    _NUMBER
    + """
local batch = next_number(KEYS[2])
redis.call('HSET', KEYS[1], batch, ARGV[4] .. '\\n' .. ARGV[5])
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
redis.call('ZADD', KEYS[3], due, ARGV[1] .. ':' .. batch .. ':' .. ARGV[2])
return tonumber(batch)
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

#: Number of a batch -> the campaign's state, the rows of the batch and their states; no rows where it is finished.
READ = (
    _STATE
    + """
local campaign, batch = redis.call('HGET', KEYS[3], 'state') or '', redis.call('HGET', KEYS[2], ARGV[1])
if not batch then return {campaign} end
local states, ends = {}, string.find(batch, '\\n', 1, true)
for first, last in string.gmatch(string.sub(batch, 1, ends), RUN) do states[#states + 1] = bytes_of(first, last) end
return {campaign, string.sub(batch, ends + 1), table.concat(states)}
"""
)

#: Number of a batch, which is cancelled.
DROP = (
    _STATE
    + """
local batch = redis.call('HGET', KEYS[2], ARGV[1])
if not batch then return 0 end
for first, last in string.gmatch(string.sub(batch, 1, string.find(batch, '\\n', 1, true)), RUN) do
    change_run(first, last, function(now) if now == QUEUED then return 0 end end)
end
return redis.call('HDEL', KEYS[2], ARGV[1])
"""
)

#: One turn of a worker, in one step: KEYS ledger, outcomes, groups; ARGV own slot, worker id, number of the group,
#: number of the oldest one that is not answered, outcomes that are final, those to be tried again, runs of the states
#: that follow from them, each with its state behind a colon, runs that are marked.
#: Marks are set all or none: what is returned is 1 where one of them is somebody else's, and 0 where all are set.
#: A group that was told before changes nothing: its answer was lost. One behind a group that was refused is refused,
#: too, or that one would count as told before when it comes again.
TURN = (
    _STATE
    + """
local slot, group = tonumber(ARGV[1]), tonumber(ARGV[3])
local before = group and tonumber(redis.call('HGET', KEYS[3], ARGV[2]) or 0)
if group and group > before then
    if group > tonumber(ARGV[4]) and before < group - 1 then return redis.error_reply('GAP') end
    for first, last, state in string.gmatch(ARGV[7], RUN .. ':(%d+)') do
        local value = tonumber(state)
        if value == ACCEPTED then
            set(first, last, ACCEPTED)
        elseif value == QUEUED then
            change_run(first, last, function(now) if now == slot then return QUEUED end end)
        else
            change_run(first, last, function(now) if now ~= ACCEPTED then return value end end)
        end
    end
    if ARGV[5] ~= '' then redis.call('XADD', KEYS[2], '*', 'o', ARGV[5]) end
    if ARGV[6] ~= '' then redis.call('XADD', KEYS[2], '*', 'r', ARGV[6]) end
    redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
end
for first, last in string.gmatch(ARGV[8], RUN) do
    local bytes = bytes_of(first, last)
    for i = 1, #bytes do
        local now = string.byte(bytes, i)
        if now ~= QUEUED and now ~= slot then return 1 end
    end
end
for first, last in string.gmatch(ARGV[8], RUN) do set(first, last, slot) end
return 0
"""
)

#: Runs and their final states -> how many were not known.
RESTORE = (
    _STATE
    + """
local told = 0
for first, last, state in string.gmatch(ARGV[1], RUN .. ':(%d+)') do
    local value = tonumber(state)
    change_run(first, last, function(now)
        if now ~= value and (value == ACCEPTED or now == 0) then
            told = told + 1
            return value
        end
    end)
end
return told
"""
)

#: Outcomes, then the runs of those in doubt -> 1, or 0 where one of them has been settled meanwhile; then nothing is
#: done: their workers were only slow, and an outcome "in doubt" behind a better one would be the last word.
SETTLE = (
    _STATE
    + """
for first, last in string.gmatch(ARGV[2], RUN) do
    local bytes = bytes_of(first, last)
    for i = 1, #bytes do if string.byte(bytes, i) < SLOT then return 0 end end
end
for first, last in string.gmatch(ARGV[2], RUN) do set(first, last, IN_DOUBT) end
redis.call('XADD', KEYS[2], '*', 'o', ARGV[1])
return 1
"""
)

#: Number of the last entry that is in the journal, or nothing; how many entries -> number of the last of them, the
#: outcomes that are final, and those that are to be tried again; nothing where there are none.
#: Only the oldest are ever taken, so all up to the last one have been.
TAKE_HOME = """
if ARGV[1] ~= '' then
    local milliseconds, sequence = string.match(ARGV[1], '(%d+)-(%d+)')
    redis.call('XTRIM', KEYS[1], 'MINID', milliseconds .. '-' .. sequence + 1)
end
if ARGV[2] == '0' then return {} end
local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2])
if #entries == 0 then return {} end
local outcomes = {o = {}, r = {}}
for _, entry in ipairs(entries) do
    local of_kind = outcomes[entry[2][1]]
    of_kind[#of_kind + 1] = entry[2][2]
end
return {entries[#entries][1], table.concat(outcomes.o, ','), table.concat(outcomes.r, ',')}
"""

#: A state -> 1, or 0 where the campaign is gone or ended: nothing brings that back but queueing it again.
SET_STATE = """
local now = redis.call('HGET', KEYS[1], 'state')
if not now or (now == 'cancelled' and ARGV[1] ~= now) then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[1])
return 1
"""

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
    "take_home": TAKE_HOME,
    "set_state": SET_STATE,
    "seen": SEEN,
}
