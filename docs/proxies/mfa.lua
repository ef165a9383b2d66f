-- Asks Caddy whether a request may pass. What Caddy answers otherwise, such as the way to the sign-in page, goes to the visitor.
local address = "http://127.0.0.1:9091/forward-auth"

-- What the app is told, and by nobody else.
local told = { "remote-user", "remote-name", "remote-email", "remote-groups", "remote-assertion", "cookie" }

-- What is about this connection or the body, which stays here.
local dropped = {
	"connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	"x-forwarded-method", "x-forwarded-host", "x-forwarded-uri",
}

core.register_action("mfa", { "http-req" }, function(txn)
	local headers = {}
	for name, values in pairs(txn.http:req_get_headers()) do
		headers[name] = {}
		for i = 0, #values do
			headers[name][i + 1] = values[i]
		end
	end
	for _, name in ipairs(dropped) do
		headers[name] = nil
	end
	headers["x-forwarded-method"] = { txn.sf:method() }
	headers["x-forwarded-host"] = headers["host"]
	headers["x-forwarded-uri"] = { txn.sf:pathq() }

	local answer = core.httpclient():get({ url = address, headers = headers })
	-- Nothing but mfa answers with Remote-User, be it empty.
	if answer.status == 200 and answer.headers["remote-user"] then
		for _, name in ipairs(told) do
			local value = answer.headers[name] and answer.headers[name][0] or ""
			if value == "" then
				txn.http:req_del_header(name)
			else
				txn.http:req_set_header(name, value)
			end
		end
		txn:set_var("txn.mfa", "yes")
		return
	end

	local reply = txn:reply()
	if answer.status < 300 then -- Caddy is down, or something else is in its place
		reply:set_status(503)
		txn:done(reply)
	end
	reply:set_status(answer.status)
	for name, values in pairs(answer.headers) do
		if name ~= "connection" and name ~= "content-length" and name ~= "transfer-encoding" then
			for i = 0, #values do
				reply:add_header(name, values[i])
			end
		end
	end
	reply:set_body(answer.body or "")
	txn:done(reply)
end)
