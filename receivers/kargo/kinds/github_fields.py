"""The fields of GitHub's events with their types, as the Go library google/go-github that Kargo uses has them.

A wrong type in any of these fields makes a body invalid, whether or not Kargo uses the field. `field_types` describes
the notation.

Source: the names and types of the exported fields of google/go-github.
"""

from __future__ import annotations

from typing import Final

FIELDS: Final = """
PushEvent = push_id:*int head:*text ref:*text size:*int commits:[]*HeadCommit before:*text distinct_size:*int
    action:*text after:*text created:*bool deleted:*bool forced:*bool base_ref:*text compare:*text
    repository:*PushEventRepository head_commit:*HeadCommit pusher:*CommitAuthor sender:*User
    installation:*Installation organization:*Organization
PingEvent = zen:*text hook_id:*int hook:*Hook repository:*Repository organization:*Organization sender:*User
    installation:*Installation
PullRequestEvent = action:*text assignee:*User number:*int pull_request:*PullRequest changes:*EditChange
    requested_reviewer:*User requested_team:*Team repository:*Repository sender:*User
    installation:*Installation label:*Label reason:*text organization:*Organization before:*text after:*text
    performed_via_github_app:*App
PackageEvent = action:*text package:*Package repository:*Repository organization:*Organization sender:*User
    installation:*Installation
RegistryPackageEvent = action:*text registry_package:*Package repository:*Repository
    organization:*Organization enterprise:*Enterprise sender:*User installation:*Installation
HeadCommit = message:*text author:*CommitAuthor url:*text distinct:*bool sha:*text id:*text tree_id:*text
    timestamp:*timestamp committer:*CommitAuthor added:[]text removed:[]text modified:[]text
PushEventRepository = id:*int node_id:*text name:*text full_name:*text owner:*User private:*bool
    description:*text fork:*bool created_at:*timestamp pushed_at:*timestamp updated_at:*timestamp
    homepage:*text pulls_url:*text size:*int stargazers_count:*int watchers_count:*int language:*text
    has_issues:*bool has_downloads:*bool has_wiki:*bool has_pages:*bool forks_count:*int archived:*bool
    disabled:*bool open_issues_count:*int default_branch:*text master_branch:*text organization:*text
    url:*text archive_url:*text html_url:*text statuses_url:*text git_url:*text ssh_url:*text clone_url:*text
    svn_url:*text topics:[]text custom_properties:{}any
CommitAuthor = date:*timestamp name:*text email:*text username:*text
User = login:*text id:*int user_view_type:*text node_id:*text avatar_url:*text html_url:*text
    gravatar_id:*text name:*text company:*text blog:*text location:*text email:*text notification_email:*text
    hireable:*bool bio:*text twitter_username:*text public_repos:*int public_gists:*int followers:*int
    following:*int created_at:*timestamp updated_at:*timestamp suspended_at:*timestamp type:*text
    site_admin:*bool total_private_repos:*int owned_private_repos:*int private_gists:*int disk_usage:*int
    collaborators:*int two_factor_authentication:*bool plan:*Plan business_plus:*bool ldap_dn:*text url:*text
    events_url:*text following_url:*text followers_url:*text gists_url:*text organizations_url:*text
    received_events_url:*text repos_url:*text starred_url:*text subscriptions_url:*text
    text_matches:[]*TextMatch permissions:*RepositoryPermissions role_name:*text assignment:*text
    inherited_from:[]*Team role:*text inherited:*bool
Installation = id:*int node_id:*text client_id:*text app_id:*int app_slug:*text target_id:*int account:*User
    access_tokens_url:*text repositories_url:*text html_url:*text target_type:*text single_file_name:*text
    repository_selection:*text events:[]text single_file_paths:[]text permissions:*InstallationPermissions
    created_at:*timestamp updated_at:*timestamp has_multiple_single_files:*bool suspended_by:*User
    suspended_at:*timestamp
Organization = login:*text id:*int node_id:*text avatar_url:*text html_url:*text name:*text company:*text
    blog:*text location:*text email:*text twitter_username:*text description:*text public_repos:*int
    public_gists:*int followers:*int following:*int created_at:*timestamp updated_at:*timestamp
    archived_at:*timestamp total_private_repos:*int owned_private_repos:*int private_gists:*int
    disk_usage:*int collaborators:*int billing_email:*text type:*text plan:*Plan
    two_factor_requirement_enabled:*bool is_verified:*bool has_organization_projects:*bool
    has_repository_projects:*bool default_repository_permission:*text default_repository_settings:*text
    members_can_create_repositories:*bool members_can_create_public_repositories:*bool
    members_can_create_private_repositories:*bool members_can_create_internal_repositories:*bool
    members_can_fork_private_repositories:*bool deploy_keys_enabled_for_repositories:*bool
    members_allowed_repository_creation_type:*text members_can_create_pages:*bool
    members_can_create_public_pages:*bool members_can_create_private_pages:*bool
    web_commit_signoff_required:*bool advanced_security_enabled_for_new_repositories:*bool
    dependabot_alerts_enabled_for_new_repositories:*bool
    dependabot_security_updates_enabled_for_new_repositories:*bool
    dependency_graph_enabled_for_new_repositories:*bool secret_scanning_enabled_for_new_repositories:*bool
    secret_scanning_push_protection_enabled_for_new_repositories:*bool
    secret_scanning_validity_checks_enabled:*bool secret_scanning_push_protection_custom_link_enabled:*bool
    secret_scanning_push_protection_custom_link:*text members_can_delete_repositories:*bool
    members_can_change_repo_visibility:*bool members_can_invite_outside_collaborators:*bool
    members_can_delete_issues:*bool display_commenter_full_name_setting_enabled:*bool
    readers_can_create_discussions:*bool members_can_create_teams:*bool
    members_can_view_dependency_insights:*bool default_repository_branch:*text url:*text events_url:*text
    hooks_url:*text issues_url:*text members_url:*text public_members_url:*text repos_url:*text
Hook = created_at:*timestamp updated_at:*timestamp url:*text id:*int type:*text name:*text test_url:*text
    ping_url:*text last_response:{}any config:*HookConfig events:[]text active:*bool
Repository = id:*int node_id:*text owner:*User name:*text full_name:*text description:*text homepage:*text
    code_of_conduct:*CodeOfConduct default_branch:*text master_branch:*text created_at:*timestamp
    pushed_at:*timestamp updated_at:*timestamp html_url:*text clone_url:*text git_url:*text mirror_url:*text
    ssh_url:*text svn_url:*text language:*text fork:*bool forks_count:*int network_count:*int
    open_issues_count:*int open_issues:*int stargazers_count:*int subscribers_count:*int watchers_count:*int
    watchers:*int size:*int auto_init:*bool parent:*Repository source:*Repository
    template_repository:*Repository organization:*Organization permissions:*RepositoryPermissions
    allow_rebase_merge:*bool allow_update_branch:*bool allow_squash_merge:*bool allow_merge_commit:*bool
    allow_auto_merge:*bool allow_forking:*bool web_commit_signoff_required:*bool delete_branch_on_merge:*bool
    use_squash_pr_title_as_default:*bool squash_merge_commit_title:*text squash_merge_commit_message:*text
    merge_commit_title:*text merge_commit_message:*text topics:[]text custom_properties:{}any archived:*bool
    disabled:*bool license:*License private:*bool has_issues:*bool has_wiki:*bool has_pages:*bool
    has_projects:*bool has_downloads:*bool has_discussions:*bool has_pull_requests:*bool
    pull_request_creation_policy:*text is_template:*bool license_template:*text gitignore_template:*text
    security_and_analysis:*SecurityAndAnalysis team_id:*int url:*text archive_url:*text assignees_url:*text
    blobs_url:*text branches_url:*text collaborators_url:*text comments_url:*text commits_url:*text
    compare_url:*text contents_url:*text contributors_url:*text deployments_url:*text downloads_url:*text
    events_url:*text forks_url:*text git_commits_url:*text git_refs_url:*text git_tags_url:*text
    hooks_url:*text issue_comment_url:*text issue_events_url:*text issues_url:*text keys_url:*text
    labels_url:*text languages_url:*text merges_url:*text milestones_url:*text notifications_url:*text
    pulls_url:*text releases_url:*text stargazers_url:*text statuses_url:*text subscribers_url:*text
    subscription_url:*text tags_url:*text trees_url:*text teams_url:*text text_matches:[]*TextMatch
    visibility:*text role_name:*text
PullRequest = id:*int number:*int state:*text locked:*bool title:*text body:*text created_at:*timestamp
    updated_at:*timestamp closed_at:*timestamp merged_at:*timestamp labels:[]*Label user:*User draft:*bool
    url:*text html_url:*text issue_url:*text statuses_url:*text diff_url:*text patch_url:*text
    commits_url:*text comments_url:*text review_comments_url:*text review_comment_url:*text assignee:*User
    assignees:[]*User milestone:*Milestone author_association:*text node_id:*text requested_reviewers:[]*User
    auto_merge:*PullRequestAutoMerge merged:*bool mergeable:*bool mergeable_state:*text rebaseable:*bool
    merged_by:*User merge_commit_sha:*text comments:*int commits:*int additions:*int deletions:*int
    changed_files:*int maintainer_can_modify:*bool review_comments:*int requested_teams:[]*Team
    _links:*PRLinks head:*PullRequestBranch base:*PullRequestBranch stack:*PullRequestStack
    active_lock_reason:*text
EditChange = title:*EditTitle body:*EditBody base:*EditBase repository:*EditRepo owner:*EditOwner
    default_branch:*EditDefaultBranch topics:*EditTopics
Team = id:*int node_id:*text name:*text description:*text url:*text slug:*text permission:*text privacy:*text
    notification_setting:*text members_count:*int repos_count:*int organization:*Organization html_url:*text
    members_url:*text repositories_url:*text parent:*Team ldap_dn:*text permissions:{}bool assignment:*text
    type:*text access_source:*text
Label = id:int url:text name:text color:text description:*text default:bool node_id:text
App = id:*int slug:*text client_id:*text node_id:*text owner:*User name:*text description:*text
    external_url:*text html_url:*text created_at:*timestamp updated_at:*timestamp
    permissions:*InstallationPermissions events:[]text installations_count:*int
Package = id:*int name:*text package_type:*text html_url:*text visibility:*text owner:*User
    repository:*Repository created_at:*timestamp updated_at:*timestamp namespace:*text description:*text
    ecosystem:*text package_version:*PackageVersion registry:*PackageRegistry url:*text version_count:*int
Enterprise = id:*int slug:*text name:*text node_id:*text avatar_url:*text description:*text website_url:*text
    html_url:*text created_at:*timestamp updated_at:*timestamp
Plan = name:*text space:*int collaborators:*int private_repos:*int filled_seats:*int seats:*int
TextMatch = object_url:*text object_type:*text property:*text fragment:*text matches:[]*Match
RepositoryPermissions = admin:*bool maintain:*bool push:*bool triage:*bool pull:*bool
InstallationPermissions = actions:*text actions_variables:*text administration:*text attestations:*text
    blocking:*text checks:*text codespaces:*text codespaces_lifecycle_admin:*text codespaces_metadata:*text
    codespaces_secrets:*text codespaces_user_secrets:*text contents:*text content_references:*text
    copilot_messages:*text dependabot_secrets:*text deployments:*text discussions:*text emails:*text
    enterprise_ai_controls:*text enterprise_copilot_metrics:*text enterprise_credentials:*text
    enterprise_custom_enterprise_roles:*text enterprise_custom_org_roles:*text
    enterprise_custom_properties:*text enterprise_custom_properties_for_organizations:*text
    enterprise_organizations:*text enterprise_organization_installations:*text
    enterprise_organization_installation_repositories:*text enterprise_people:*text enterprise_sso:*text
    enterprise_teams:*text environments:*text followers:*text gists:*text git_signing_ssh_public_keys:*text
    gpg_keys:*text interaction_limits:*text issues:*text keys:*text metadata:*text members:*text
    merge_queues:*text organization_actions_variables:*text organization_administration:*text
    organization_announcement_banners:*text organization_api_insights:*text organization_codespaces:*text
    organization_codespaces_secrets:*text organization_codespaces_settings:*text
    organization_copilot_metrics:*text organization_copilot_seat_management:*text
    organization_custom_properties:*text organization_custom_roles:*text organization_custom_org_roles:*text
    organization_dependabot_secrets:*text organization_events:*text organization_hooks:*text
    organization_knowledge_bases:*text organization_packages:*text organization_personal_access_tokens:*text
    organization_personal_access_token_requests:*text organization_plan:*text
    organization_pre_receive_hooks:*text organization_projects:*text organization_secrets:*text
    organization_self_hosted_runners:*text organization_user_blocking:*text packages:*text pages:*text
    plan:*text profile:*text pull_requests:*text repository_advisories:*text
    repository_custom_properties:*text repository_hooks:*text repository_projects:*text
    repository_pre_receive_hooks:*text secrets:*text secret_scanning_alerts:*text security_events:*text
    single_file:*text starring:*text statuses:*text team_discussions:*text user_events:*text
    vulnerability_alerts:*text watching:*text workflows:*text
HookConfig = content_type:*text insecure_ssl:*text url:*text secret:*text
CodeOfConduct = name:*text key:*text url:*text body:*text
License = key:*text name:*text url:*text spdx_id:*text html_url:*text featured:*bool description:*text
    implementation:*text permissions:[]text conditions:[]text limitations:[]text body:*text
SecurityAndAnalysis = advanced_security:*AdvancedSecurity secret_scanning:*SecretScanning
    secret_scanning_push_protection:*SecretScanningPushProtection
    dependabot_security_updates:*DependabotSecurityUpdates
    secret_scanning_validity_checks:*SecretScanningValidityChecks code_security:*CodeSecurity
Milestone = url:*text html_url:*text labels_url:*text id:*int number:*int state:*text title:*text
    description:*text creator:*User open_issues:*int closed_issues:*int created_at:*timestamp
    updated_at:*timestamp closed_at:*timestamp due_on:*timestamp node_id:*text
PullRequestAutoMerge = enabled_by:*User merge_method:*text commit_title:*text commit_message:*text
PRLinks = self:*PRLink html:*PRLink issue:*PRLink comments:*PRLink review_comments:*PRLink
    review_comment:*PRLink commits:*PRLink statuses:*PRLink
PullRequestBranch = label:*text ref:*text sha:*text repo:*Repository user:*User
PullRequestStack = base:*PullRequestStackBase size:*int position:*int id:*int number:*int
EditTitle = from:*text
EditBody = from:*text
EditBase = ref:*EditRef sha:*EditSHA
EditRepo = name:*RepoName
EditOwner = from:*OwnerInfo
EditDefaultBranch = from:*text
EditTopics = from:[]text
PackageVersion = id:*int name:*text url:*text package_html_url:*text license:*text description:*text
    created_at:*timestamp updated_at:*timestamp metadata:any version:*text summary:*text body:any
    body_html:*text release:*PackageRelease manifest:*text html_url:*text tag_name:*text
    target_commitish:*text target_oid:*text draft:*bool prerelease:*bool
    container_metadata:*PackageEventContainerMetadata docker_metadata:[]any npm_metadata:*PackageNPMMetadata
    nuget_metadata:[]*PackageNugetMetadata ruby_metadata:{}any package_files:[]*PackageFile package_url:*text
    author:*User source_url:*text installation_command:*text deleted_at:*timestamp
PackageRegistry = about_url:*text name:*text type:*text url:*text vendor:*text
Match = text:*text indices:[]int
AdvancedSecurity = status:*text
SecretScanning = status:*text
SecretScanningPushProtection = status:*text
DependabotSecurityUpdates = status:*text
SecretScanningValidityChecks = status:*text
CodeSecurity = status:*text
PRLink = href:*text
PullRequestStackBase = ref:text sha:text
EditRef = from:*text
EditSHA = from:*text
RepoName = from:*text
OwnerInfo = user:*User organization:*User
PackageRelease = url:*text html_url:*text id:*int tag_name:*text target_commitish:*text name:*text draft:*bool
    author:*User prerelease:*bool created_at:*timestamp published_at:*timestamp
PackageEventContainerMetadata = labels:{}any manifest:Manifest tag:*PackageEventContainerMetadataTag
PackageNPMMetadata = name:*text version:*text npm_user:*text author:{}text bugs:{}text dependencies:{}text
    dev_dependencies:{}text peer_dependencies:{}text optional_dependencies:{}text description:*text
    dist:{}text git_head:*text homepage:*text license:*text main:*text repository:{}text scripts:{}any
    id:*text node_version:*text npm_version:*text has_shrinkwrap:*bool maintainers:[]any contributors:[]any
    engines:{}text keywords:[]text files:[]text bin:{}any man:{}any directories:{}text os:[]text cpu:[]text
    readme:*text installation_command:*text release_id:*int commit_oid:*text published_via_actions:*bool
    deleted_by_id:*int
PackageNugetMetadata = id:any name:*text value:any
PackageFile = download_url:*text id:*int name:*text sha256:*text sha1:*text md5:*text content_type:*text
    state:*text author:*User size:*int created_at:*timestamp updated_at:*timestamp
PackageEventContainerMetadataTag = name:*text digest:*text
"""
