-- The load: one prepared request after the other, each with its own id, from a job file
-- (header lines, an empty line, then the body with @ID@ where the id belongs).
local PREPARED = 4096 -- far more than are ever under way at once, so that no two share an id

local requests, turn, pause = {}, 0, 0

function init(args)
  pause = tonumber(args[2] or 0)
  if pause == 0 then delay = nil end -- not even asked for
  local job = assert(io.open(args[1], "rb")):read("*a")
  local head, body = job:match("^(.-)\n\n(.*)$")
  local headers = {}
  for name, value in head:gmatch("([^\n:]+): ([^\n]*)") do headers[name] = value end
  for id = 1, PREPARED do
    requests[id] = wrk.format("POST", nil, headers, (body:gsub("@ID@", tostring(1000 + id))))
  end
end

function request()
  turn = turn % PREPARED + 1
  return requests[turn]
end

function delay() return pause end

function done(summary, latency)
  local errors = summary.errors
  print(("RESULT requests=%d us=%d bytes=%d p50=%d p99=%d refused=%d connect=%d read=%d write=%d timeout=%d"):format(
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
