# Other names for the scripts; what each does stands at its head.
.PHONY: demo test build lint fuzz bench install docs
demo test build lint fuzz bench install:
	@./scripts/$@
docs:
	@./scripts/lint rooms docs
