package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"waybill/sinks"
)

// accountName is what may name an account: it becomes part of a file's name and of metrics.
var accountName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// accounts checks the accounts, and that policies name those that there are.
func (v *validator) accounts() {
	c := v.config
	for _, n := range c.AccountNames() {
		field := "accounts." + n
		_, sink := c.Sinks[n]
		_, service := c.Services[n]
		switch {
		case !accountName.MatchString(n):
			v.fault(field, Fault{Found: "the name " + strconv.Quote(n), Expected: "lower-case letters, digits, _ and -, at most 32, a letter first",
				Do: "Rename it here and in the policies."})
		case sink || service:
			v.fault(field, Fault{Found: "the name of a sink or a service, which has an account of that name unless its policy names another",
				Expected: "a name of its own", Do: "Rename it here and in the policies."})
		}
		v.decoder.adapterFaults(c.Accounts[n].Validate(), field)
	}
	for _, n := range c.SinkNames() {
		v.account("sinks."+n, c.Sinks[n].Policy)
	}
	for _, n := range c.ServiceNames() {
		v.account("services."+n, c.Services[n].Terms.Policy)
	}
}

func (v *validator) account(of string, p sinks.Policy) {
	if _, known := v.config.Accounts[p.Account]; known || p.Account == "" {
		return
	}
	names := v.config.AccountNames()
	f := Fault{Found: strconv.Quote(p.Account), Expected: strings.Join(names, ", "), Do: "Name one of them, or add it under accounts."}
	if len(names) == 0 {
		f.Expected, f.Do = "an account of accounts, and there is none", "Add it under accounts, or leave this out."
	} else if near := Suggest(p.Account, names); near != "" {
		f.Do = fmt.Sprintf("Did you mean %q?", near)
	}
	v.fault(of+".policy.account", f)
}

// AccountOf is the account of a sink or a service, and its limits: one that is shared, or its own, which has its name.
func (c *Config) AccountOf(name string, p sinks.Policy) (account string, l sinks.Limits) {
	if p.Account != "" {
		return p.Account, c.Accounts[p.Account]
	}
	return name, p.Limits()
}

// PolicyNames are the sinks and services, whose policies Policy gives.
func (c *Config) PolicyNames() []string {
	names := slices.Concat(c.SinkNames(), c.ServiceNames())
	slices.Sort(names)
	return names
}

// Policy is the policy of a sink or a service.
func (c *Config) Policy(name string) sinks.Policy {
	if s, ok := c.Sinks[name]; ok {
		return s.Policy
	}
	return c.Services[name].Terms.Policy
}
