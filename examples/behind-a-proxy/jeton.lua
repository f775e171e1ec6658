-- The action with which HAProxy asks Jeton. Printed by 'jeton config proxy haproxy-lua reports'.
-- It is the same for every service. HAProxy 2.6 or later.

-- What of a request is not for Jeton: it gets no body, and another address.
local kept = {
	["host"] = true,
	["content-length"] = true,
	["transfer-encoding"] = true,
	["expect"] = true,
	["te"] = true,
	["keep-alive"] = true,
}

-- What the service gets of the answer.
local identity = {
	["remote-user"] = "Remote-User",
	["remote-groups"] = "Remote-Groups",
	["remote-name"] = "Remote-Name",
	["remote-email"] = "Remote-Email",
	["jeton-cookie"] = "Cookie",
	["jeton-assertion"] = "Jeton-Assertion",
}

-- What the client gets of a refusal.
local delivered = {"location", "www-authenticate", "content-type", "set-cookie", "retry-after", "cache-control", "hx-redirect"}

-- values returns the lines of a header, of which the first has the number 0.
local function values(headers, name)
	local list = {}
	local lines = headers[name]
	local i = 0
	while lines and lines[i] do
		list[#list + 1] = lines[i]
		i = i + 1
	end

	return list
end

-- refuse ends a request with the answer of Jeton.
local function refuse(txn, status, res)
	local reply = txn:reply{status = status}
	if res then
		for _, name in ipairs(delivered) do
			for _, value in ipairs(values(res.headers, name)) do
				reply:add_header(name, value)
			end
		end
		reply:set_body(res.body or "")
	end

	txn:done(reply)
end

-- asks returns the headers of the question.
local function asks(txn, scheme)
	local theirs = txn.http:req_get_headers()
	local h = {}
	for name in pairs(theirs) do
		if not kept[name] then
			h[name] = values(theirs, name)
		end
	end

	h["host"] = {"jeton"}
	h["x-forwarded-method"] = {txn.f:method()}
	h["x-forwarded-proto"] = {scheme}
	h["x-forwarded-host"] = values(theirs, "host")
	h["x-forwarded-uri"] = {txn.f:pathq()}
	h["x-forwarded-for"] = {txn.f:src()}
	h["x-request-id"] = {txn.f:uuid()}

	return h
end

core.register_action("jeton", {"http-req"}, function(txn, at, service, scheme)
	local res = core.httpclient():get{
		url = "http://jeton/authz/haproxy?service=" .. service,
		dst = at,
		headers = asks(txn, scheme),
		timeout = 10000,
	}

	if not res or not res.status or res.status < 200 or res.status > 599 then
		return refuse(txn, 503)
	end
	if res.status ~= 200 then
		return refuse(txn, math.max(res.status, 300), res)
	end

	for name, header in pairs(identity) do
		local value = values(res.headers, name)[1]
		txn.http:req_del_header(header)
		if value and value ~= "" then
			txn.http:req_set_header(header, value)
		end
	end
end, 3)
